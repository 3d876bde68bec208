-- What was applied here, and with which content. `component` is oaflow, or procrastinate on a server of oaflow's own:
-- procrastinate itself keeps no record of its schema.
CREATE SCHEMA IF NOT EXISTS oaflow;
CREATE TABLE IF NOT EXISTS oaflow.migrations (
    component  text NOT NULL,
    name       text NOT NULL,
    digest     text NOT NULL,
    program    text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, name)
);
