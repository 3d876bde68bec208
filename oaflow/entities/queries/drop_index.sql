-- An interrupted build leaves an invalid index, which IF NOT EXISTS would accept.
DROP INDEX CONCURRENTLY IF EXISTS {index}
