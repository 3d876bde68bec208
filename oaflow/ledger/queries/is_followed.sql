-- Whether a session of that name is there.
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(name)s)
