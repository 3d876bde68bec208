-- Whether a session with that name exists.
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(name)s)
