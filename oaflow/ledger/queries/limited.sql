-- Tasks that have a limit now, and which limits.
SELECT queue, task, concurrency IS NOT NULL, every IS NOT NULL FROM oaflow.limits_now
