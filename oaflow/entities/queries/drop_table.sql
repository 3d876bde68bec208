-- All that is known of a dataset's entities.
DROP TABLE IF EXISTS {table}
