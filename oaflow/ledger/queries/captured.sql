-- Whether all of capture's triggers are there, and on.
SELECT count(*) = 3 FROM pg_trigger t
 WHERE t.tgrelid = to_regclass('procrastinate_jobs') AND t.tgenabled <> 'D'
   AND t.tgname IN ('oaflow_capture_new', 'oaflow_capture_end', 'oaflow_capture_gone')
