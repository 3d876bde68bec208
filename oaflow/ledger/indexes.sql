-- Indexes on procrastinate's table. oaflow is correct without them, and fast with them; only `oaflow db migrate` makes
-- them, naming each, and other programs may drop them at any time. CONCURRENTLY: others go on inserting meanwhile.
-- By run too: what waits of runs that a claim does not ask for is not read.
CREATE INDEX CONCURRENTLY IF NOT EXISTS oaflow_run_ready
    ON procrastinate_jobs (queue_name, task_name, (args #>> '{payload,context,oaflow,run}'), (-priority), id)
    WHERE status = 'todo' AND lock IS NULL AND scheduled_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS oaflow_run_due
    ON procrastinate_jobs (queue_name, task_name, (args #>> '{payload,context,oaflow,run}'), scheduled_at)
    WHERE status = 'todo' AND lock IS NULL AND scheduled_at IS NOT NULL;
-- From lock to lock, and in each what is next.
CREATE INDEX CONCURRENTLY IF NOT EXISTS oaflow_lock_ready
    ON procrastinate_jobs (queue_name, task_name, (args #>> '{payload,context,oaflow,run}'), lock, (-priority), id)
    WHERE status = 'todo' AND lock IS NOT NULL AND scheduled_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS oaflow_lock_due
    ON procrastinate_jobs (queue_name, task_name, (args #>> '{payload,context,oaflow,run}'), lock, scheduled_at)
    WHERE status = 'todo' AND lock IS NOT NULL AND scheduled_at IS NOT NULL;
