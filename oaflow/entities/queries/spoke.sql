-- One row if an origin has written anything. Uses the index on (origin, fragment), if the table has it.
SELECT 1 FROM {table} WHERE origin = %(origin)s LIMIT 1
