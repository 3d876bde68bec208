-- The same in a table that is another's: it stays, and is empty.
DELETE FROM {table}
