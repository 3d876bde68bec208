-- Whether the input of a run was cut off: it is not sealed, and the session that made it is gone. Who makes a run holds
-- an advisory lock in its session until it has sent the last of the first jobs (queries/insert_run.sql).
CREATE FUNCTION oaflow.cut_v1(p_run text, p_state text, p_sealed boolean) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_sealed OR p_state NOT IN ('running', 'paused') THEN false
                ELSE NOT EXISTS (
                    SELECT FROM pg_locks l
                     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                       AND l.classid = hashtext('oaflow.entering')::oid AND l.objid = hashtext(p_run)::oid) END
$$;
