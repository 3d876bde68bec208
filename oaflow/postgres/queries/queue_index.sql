-- Whether there are indexes on the queue alone, of whatever name (procrastinate has renamed its own before), and whether one
-- of them is of use: one whose making was interrupted is not.
SELECT count(*) > 0, coalesce(bool_or(i.indisvalid), false)
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'queue_name'
 WHERE i.indrelid = to_regclass('procrastinate_jobs') AND i.indnatts = 1 AND i.indkey[0] = a.attnum
