-- One that was interrupted stays as an invalid index, which IF NOT EXISTS would take for the thing itself.
DROP INDEX CONCURRENTLY IF EXISTS {index}
