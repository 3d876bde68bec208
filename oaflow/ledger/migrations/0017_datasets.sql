-- Taking out all that a dataset has left behind.

-- Datasets that are being deleted: none of their runs begins before that is over.
CREATE TABLE oaflow.deletions (
    dataset  text PRIMARY KEY,
    begun_at timestamptz NOT NULL DEFAULT now()
);

-- Files of deleted datasets that are still in the archive: they go when nobody can be using them any more.
CREATE TABLE oaflow.orphans (
    content_hash text PRIMARY KEY,
    dataset      text NOT NULL
);

-- Before a run begins or goes on again: whether its dataset is being deleted. To be asked in the transaction that makes
-- the run, so that neither of the two overlooks the other. The lock on the archive holds up who takes files out of it,
-- until the run can be seen.
CREATE FUNCTION oaflow.admit_v1(p_dataset text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('oaflow.archive'), 0);
    PERFORM pg_advisory_xact_lock_shared(hashtext('oaflow.dataset'), hashtext(p_dataset));
    RETURN NOT EXISTS (SELECT FROM oaflow.deletions d WHERE d.dataset = p_dataset);
END $$;

-- Says that a dataset is being deleted, unless a run of it is open: then it answers which.
CREATE FUNCTION oaflow.begin_deletion_v1(p_dataset text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.dataset'), hashtext(p_dataset));
    SELECT r.id INTO found FROM oaflow.runs r
     WHERE r.dataset = p_dataset AND r.state IN ('running', 'paused', 'interrupted') ORDER BY r.created_at DESC LIMIT 1;
    IF found IS NULL THEN
        INSERT INTO oaflow.deletions (dataset) VALUES (p_dataset) ON CONFLICT DO NOTHING;
    END IF;
    RETURN found;
END $$;

-- The content hashes of the files that jobs are about, as they stand in their arguments.
CREATE FUNCTION oaflow.files_of_v1(p_args jsonb) RETURNS SETOF text
LANGUAGE sql IMMUTABLE AS $$
    SELECT v #>> '{}' FROM jsonb_path_query(p_args, '$.payload.entities[*].properties.contentHash[*]') AS v
$$;

-- Takes out the jobs of some runs, among the p_rows rows after the id p_after; what is known of their files goes to the
-- orphans. Answers the last id that was looked at; NULL: there is nothing behind p_after.
CREATE FUNCTION oaflow.delete_jobs_v1(p_dataset text, p_runs text[], p_after bigint, p_rows integer) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE v_last bigint;
BEGIN
    WITH part AS MATERIALIZED (
        SELECT j.id, j.args FROM procrastinate_jobs j WHERE j.id > p_after ORDER BY j.id LIMIT p_rows
    ), ours AS MATERIALIZED (
        SELECT part.id, part.args FROM part WHERE part.args #>> '{payload,context,oaflow,run}' = ANY (p_runs)
    ), kept AS (
        INSERT INTO oaflow.orphans (content_hash, dataset)
        SELECT DISTINCT f.hash, p_dataset FROM ours CROSS JOIN LATERAL oaflow.files_of_v1(ours.args) AS f (hash)
        ON CONFLICT DO NOTHING
    ), chunk AS (
        DELETE FROM oaflow.chunks k WHERE k.job = ANY (ARRAY(SELECT ours.id FROM ours))
    ), said AS (
        DELETE FROM oaflow.emitted e WHERE e.job = ANY (ARRAY(SELECT ours.id FROM ours))
    ), charge AS (
        DELETE FROM oaflow.charges k WHERE k.job = ANY (ARRAY(SELECT ours.id FROM ours))
    ), gone AS (
        DELETE FROM procrastinate_jobs j WHERE j.id = ANY (ARRAY(SELECT ours.id FROM ours))
    )
    SELECT max(part.id) INTO v_last FROM part;
    RETURN v_last;
END $$;

-- Takes out what else is known of a run, but its row: which is the last to go, so that what was interrupted is found again.
-- Of its history so many rows; answers whether there may be more.
CREATE FUNCTION oaflow.delete_rest_v1(p_dataset text, p_run text, p_rows integer) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE v_job bigint;
BEGIN
    SELECT h.job INTO v_job FROM oaflow.hops h WHERE h.run = p_run AND h.job IS NOT NULL ORDER BY h.job OFFSET p_rows LIMIT 1;
    IF v_job IS NOT NULL THEN
        DELETE FROM oaflow.hops h WHERE h.run = p_run AND h.job <= v_job;
        RETURN true;
    END IF;
    DELETE FROM oaflow.hops h WHERE h.run = p_run;
    INSERT INTO oaflow.orphans (content_hash, dataset)
    SELECT DISTINCT f.hash, p_dataset FROM (
        SELECT k.args FROM oaflow.failures k WHERE k.run = p_run
        UNION ALL SELECT w.args FROM oaflow.collected w WHERE w.run = p_run
        UNION ALL SELECT b.args FROM oaflow.arrived b WHERE b.run = p_run) a
     CROSS JOIN LATERAL oaflow.files_of_v1(a.args) AS f (hash)
    ON CONFLICT DO NOTHING;
    DELETE FROM oaflow.chunks k USING oaflow.failures f WHERE f.run = p_run AND k.job = f.job;
    DELETE FROM oaflow.failures k WHERE k.run = p_run;
    DELETE FROM oaflow.collected k WHERE k.run = p_run;
    DELETE FROM oaflow.arrived k WHERE k.run = p_run;
    DELETE FROM oaflow.documents k WHERE k.run = p_run;
    DELETE FROM oaflow.counters k WHERE k.run = p_run;
    DELETE FROM oaflow.joins k WHERE k.run = p_run;
    DELETE FROM oaflow.collects k WHERE k.run = p_run;
    DELETE FROM oaflow.timings k WHERE k.run = p_run;
    DELETE FROM oaflow.shifts k WHERE k.run = p_run;
    RETURN false;
END $$;
