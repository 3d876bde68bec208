-- Ends a session of ours that is still at a statement sent so long ago. Its number may be another's by now: that one
-- has no such statement. One row as long as it is there.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid = %(pid)s AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
   AND application_name = current_setting('application_name')
   AND state = 'active' AND query_start <= clock_timestamp() - make_interval(secs => %(seconds)s)
