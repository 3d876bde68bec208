-- Changes the state of an unfinished run, and notifies the workers.
WITH changed AS (
    UPDATE oaflow.runs SET state = %(state)s, reason = %(reason)s
     WHERE id = %(run)s AND state IN ('running', 'paused', 'interrupted')
    RETURNING id, state
)
SELECT pg_notify('oaflow', json_build_object('event', 'run.' || state, 'run', id)::text) FROM changed
