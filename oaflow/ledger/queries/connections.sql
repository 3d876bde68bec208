-- Connections that the server has, and how many programs may have. From pg_stat_database, because pg_stat_activity hides
-- the sessions of other users from a role without rights.
SELECT sum(numbackends)::int AS used,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int AS most
  FROM pg_stat_database
