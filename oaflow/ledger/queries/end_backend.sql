-- Ends a session of ours that still works on a statement sent this long ago. Its pid may belong to another session by
-- now, which has no such statement. Returns a row as long as it exists.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid = %(pid)s AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
   AND application_name = current_setting('application_name')
   AND state = 'active' AND query_start <= clock_timestamp() - make_interval(secs => %(seconds)s)
