-- Tasks of services of which nobody sees what their jobs hand over: no worker that collects has them and lives (those of
-- procrastinate say so every 10 s), and the triggers of capture are not there, or off.
SELECT task FROM unnest(%(tasks)s::text[]) AS task
 WHERE NOT EXISTS (
    SELECT FROM oaflow.shims s JOIN procrastinate_workers w ON w.id = s.worker
     WHERE task = ANY (s.tasks) AND w.last_heartbeat > now() - interval '1 min')
   AND (SELECT count(*) FROM pg_trigger t
         WHERE t.tgrelid = to_regclass('procrastinate_jobs') AND t.tgenabled <> 'D'
           AND t.tgname IN ('oaflow_capture_new', 'oaflow_capture_end', 'oaflow_capture_gone')) < 3
