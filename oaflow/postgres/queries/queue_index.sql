-- Whether there is an index on the queue alone, of whatever name: procrastinate has renamed its own before.
SELECT EXISTS (
    SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'queue_name'
     WHERE i.indrelid = to_regclass('procrastinate_jobs') AND i.indnatts = 1 AND i.indkey[0] = a.attnum)
