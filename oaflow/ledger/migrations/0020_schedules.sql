-- Runs that are begun by the clock.
CREATE TABLE oaflow.schedules (
    name     text PRIMARY KEY,
    pipeline text NOT NULL,
    plan     text NOT NULL REFERENCES oaflow.plans (digest),
    dataset  text NOT NULL,
    params   jsonb NOT NULL,
    folders  text[] NOT NULL,
    -- Where the expressions of the plan are written, as in oaflow.runs.
    places   jsonb NOT NULL,
    cron     text NOT NULL,
    zone     text NOT NULL,
    -- The tick that nobody has taken yet. Whoever moves it on begins the run, in the same transaction.
    due_at   timestamptz NOT NULL,
    last_at  timestamptz,
    last_run text,
    problem  text
);
