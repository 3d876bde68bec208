-- Who is told over HTTP of the end of a run. The key that it is signed with is in no table: senders have it from their
-- environment.
CREATE TABLE oaflow.webhooks (
    name       text PRIMARY KEY,
    url        text NOT NULL,
    pipeline   text,                                   -- of the runs of this one only
    created_at timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz,                            -- the last attempt, and why it was none
    problem    text
);

-- What is still to be told, and what was given up. A row is made in the transaction that ends the run, and taken out when
-- it was accepted: so none is lost, and each may come twice, under the same id.
CREATE TABLE oaflow.deliveries (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook    text NOT NULL REFERENCES oaflow.webhooks (name) ON DELETE CASCADE,
    run        text NOT NULL REFERENCES oaflow.runs (id) ON DELETE CASCADE,
    body       text NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    next_at    timestamptz DEFAULT now(),              -- NULL: given up
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deliveries_next ON oaflow.deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_run ON oaflow.deliveries (run);

-- Whatever ends a run, and whichever version of a program: its row says so.
CREATE FUNCTION oaflow.tell_v1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO oaflow.deliveries (webhook, run, body)
    SELECT w.name, NEW.id, jsonb_build_object(
               'type', 'run.' || NEW.state,
               'timestamp', to_char(NEW.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'data', jsonb_build_object(
                   'run', NEW.id, 'pipeline', NEW.pipeline, 'dataset', NEW.dataset, 'state', NEW.state,
                   'reason', NEW.reason, 'round', NEW.round,
                   'seconds', round(extract(epoch FROM NEW.finished_at - NEW.created_at)::numeric, 3),
                   'jobs', (SELECT jsonb_build_object('done', coalesce(sum(k.done), 0), 'failed', coalesce(sum(k.failed), 0),
                                                      'diverted', coalesce(sum(k.diverted), 0),
                                                      'vanished', coalesce(sum(k.vanished), 0))
                              FROM oaflow.counters k WHERE k.run = NEW.id)))::text
      FROM oaflow.webhooks w WHERE w.pipeline IS NULL OR w.pipeline = NEW.pipeline;
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER UPDATE OF state ON oaflow.runs FOR EACH ROW
    WHEN (NEW.state IN ('finished', 'incomplete', 'cancelled') AND OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION oaflow.tell_v1();
