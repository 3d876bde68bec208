-- Whether a session of ours still works on its statement.
SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                WHERE pid = %(pid)s AND datname = current_database() AND usename = current_user AND state = 'active')
