-- Connections that the server has, and that programs may have. pg_stat_database, as pg_stat_activity says nothing of
-- the sessions of others to a role without rights.
SELECT sum(numbackends)::int AS used,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int AS most
  FROM pg_stat_database
