-- One row where an origin has said anything. Served by the index on (origin, fragment), where the table has it.
SELECT 1 FROM {table} WHERE origin = %(origin)s LIMIT 1
