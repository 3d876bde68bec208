-- What a worker can run, but not for every run: why, by run and task. The code has other options than the plan.
ALTER TABLE oaflow.workers ADD COLUMN unfit jsonb NOT NULL DEFAULT '{}';
