-- What is there: the server's version, procrastinate's table and functions, oaflow's record, and the indexes that serve.
SELECT current_setting('server_version_num')::int AS version,
       current_setting('server_version') AS release,
       to_regclass('procrastinate_jobs') IS NOT NULL AS procrastinate,
       to_regclass('oaflow.migrations') IS NOT NULL AS recorded,
       ARRAY(SELECT p.proname::text FROM pg_proc p WHERE p.proname LIKE 'procrastinate%%') AS functions,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = to_regclass('procrastinate_jobs') AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       ARRAY(SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              WHERE i.indrelid = to_regclass('procrastinate_jobs') AND i.indisvalid) AS indexes,
       ARRAY(SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              WHERE i.indrelid = to_regclass('procrastinate_jobs') AND NOT i.indisvalid) AS broken
