-- Datasets that have a table with the columns of fragments; other tables may start with ftm_, too.
SELECT substr(c.relname, 5)
FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relname LIKE 'ftm\_%' AND pg_table_is_visible(c.oid)
  AND (SELECT count(*) FROM pg_attribute a
       WHERE a.attrelid = c.oid AND NOT a.attisdropped
         AND a.attname IN ('id', 'origin', 'fragment', 'timestamp', 'entity')) = 5
ORDER BY c.relname COLLATE "C"
