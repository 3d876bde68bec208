-- What a worker still runs with old code, as files have changed since it loaded them: by task, the first of these files. And
-- what is to be typed to have the new code there.
ALTER TABLE oaflow.workers
    ADD COLUMN stale jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN restart text;
