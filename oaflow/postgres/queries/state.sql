-- What is there: the server's version, procrastinate's table and functions, oaflow's record, the indexes that serve, and
-- whether what services hand over is captured.
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
              WHERE i.indrelid = to_regclass('procrastinate_jobs') AND NOT i.indisvalid) AS broken,
       (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = to_regclass('procrastinate_jobs')
           AND t.tgname IN ('oaflow_capture_new', 'oaflow_capture_end', 'oaflow_capture_gone') AND t.tgenabled <> 'D') = 3
           AS captured
