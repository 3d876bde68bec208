-- The same for a table of another program: it stays, but is emptied.
DELETE FROM {table}
