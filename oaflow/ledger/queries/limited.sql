-- Tasks that have a limit now, with their limits.
SELECT queue, task, concurrency IS NOT NULL, every IS NOT NULL FROM oaflow.limits_now
