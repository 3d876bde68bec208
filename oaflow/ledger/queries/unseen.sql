-- Tasks of services for which nothing records what their jobs hand over: no live worker with the shim has them
-- (procrastinate's workers report every 10 s), and the triggers of capture are missing or off.
SELECT task FROM unnest(%(tasks)s::text[]) AS task
 WHERE NOT EXISTS (
    SELECT FROM oaflow.shims s JOIN procrastinate_workers w ON w.id = s.worker
     WHERE task = ANY (s.tasks) AND w.last_heartbeat > now() - interval '1 min')
   AND (SELECT count(*) FROM pg_trigger t
         WHERE t.tgrelid = to_regclass('procrastinate_jobs') AND t.tgenabled <> 'D'
           AND t.tgname IN ('oaflow_capture_new', 'oaflow_capture_end', 'oaflow_capture_gone')) < 3
