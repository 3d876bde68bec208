-- One row if there is anything that settle.sql would delete.
SELECT 1 FROM {table}
WHERE origin = %(origin)s AND fragment = %(fragment)s
  AND (%(begun)s::timestamp IS NULL OR timestamp IS NULL OR timestamp < %(begun)s)
LIMIT 1
