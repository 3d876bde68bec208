-- Jobs of stages that live in services of their own. Such a job is a row like any other, which the service claims and
-- ends; its mark says `external`, with the way in which what it hands over leaves it, and (where that is captured) its own
-- id as `job`, which comes back with all that the service hands over, since that copies the context of its job.
--
-- At its end an answer takes its place: a job of the same stage that holds what was handed over, and that a worker of
-- oaflow claims and routes as the output of any stage. So the counters do not move before that, and what follows is
-- handed over exactly once.

-- What services handed over for jobs that have not come to their end. Under `emit: stream` it has gone on already, and is
-- kept so that another attempt does not say it a second time.
CREATE TABLE oaflow.emitted (
    id      bigint PRIMARY KEY,
    job     bigint NOT NULL,
    attempt integer NOT NULL,
    args    jsonb NOT NULL
);
CREATE INDEX emitted_by_job ON oaflow.emitted (job, md5(args::text));

-- What a service was asked for, of the job that holds its answer: so that it can be asked again. Any other as it is.
CREATE FUNCTION oaflow.asked_v1(p_args jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN m.mark ? 'answered'
                THEN jsonb_set(p_args, '{payload,context,oaflow}', (m.mark - '{answered,job,parent}'::text[])
                         || jsonb_strip_nulls(jsonb_build_object('external', m.mark #> '{answered,emit}',
                                                                 'parent', m.mark #> '{answered,parent}')))
                ELSE p_args END
      FROM (SELECT p_args #> '{payload,context,oaflow}' AS mark) m
$$;

-- Takes out what was handed over for a job, and the rows in which it came.
CREATE FUNCTION oaflow.unsay_v1(p_job bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    WITH gone AS (DELETE FROM oaflow.emitted e WHERE e.job = p_job RETURNING e.id)
    DELETE FROM procrastinate_jobs j
     WHERE j.id = ANY (ARRAY(SELECT gone.id FROM gone)) AND j.queue_name = 'oaflow' AND j.task_name = 'oaflow.captured';
END $$;

-- Inserts an answer, and writes into the history of the job that it is of what became of that.
CREATE FUNCTION oaflow.put_answer_v1(
    p_job bigint, p_args jsonb, p_priority integer, p_attempts integer, p_outcome text, p_returned jsonb, p_error jsonb
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    mark jsonb := p_args #> '{payload,context,oaflow}';
    documents jsonb := jsonb_path_query_array(p_args, '$.payload.entities[*].id');
    made bigint := nextval('procrastinate_jobs_id_seq');
BEGIN
    INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args)
    VALUES (made, 'oaflow', 'oaflow.stages.answer', p_priority,
            jsonb_set(p_args, '{payload,context,oaflow}', (mark - '{external,job}'::text[]) || jsonb_build_object(
                'parent', p_job,
                'answered', jsonb_strip_nulls(jsonb_build_object(
                    'emit', mark -> 'external', 'parent', mark -> 'parent', 'attempts', p_attempts, 'failed', p_error))
                    || jsonb_build_object('returned', p_returned))));
    INSERT INTO oaflow.hops (run, stage, job, parent, attempt, outcome, successors, documents, detail)
    VALUES (mark ->> 'run', mark ->> 'stage', p_job, (mark ->> 'parent')::bigint, p_attempts, p_outcome, ARRAY[made],
            ARRAY(SELECT jsonb_array_elements_text(documents)),
            jsonb_build_object('handed', jsonb_build_array(jsonb_build_array(mark ->> 'stage', documents))));
    RETURN made;
END $$;

-- A job of a service hands over another one. p_id is the number under which that stands in procrastinate's table.
--
-- Of a job that is not being worked on nothing is taken: it has come to its end, and another attempt has spoken for it.
-- Under `emit: stream` it goes on at once, in an answer of its own, unless an earlier attempt has said the same, or the
-- job has answered and others run it once more.
CREATE FUNCTION oaflow.hear_v1(p_job bigint, p_id bigint, p_args jsonb) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE of record;
BEGIN
    -- Locked, so that it does not end between this look and the insert.
    SELECT j.args, j.priority, j.attempts INTO of FROM procrastinate_jobs j
     WHERE j.id = p_job AND j.status::text = 'doing' FOR SHARE;
    IF NOT FOUND THEN RETURN; END IF;
    IF of.args #>> '{payload,context,oaflow,external}' = 'stream'
        AND NOT EXISTS (SELECT FROM oaflow.emitted e
                         WHERE e.job = p_job AND md5(e.args::text) = md5(p_args::text) AND e.attempt < of.attempts)
        AND NOT EXISTS (SELECT FROM oaflow.hops h
                         WHERE h.run = of.args #>> '{payload,context,oaflow,run}' AND h.job = p_job
                           AND h.outcome IN ('answered', 'cancelled', 'vanished')) THEN
        PERFORM oaflow.put_answer_v1(p_job, of.args, of.priority, of.attempts, 'chunk', jsonb_build_array(p_args), NULL);
        INSERT INTO oaflow.counters AS k (run, stage, shard, open)
        VALUES (of.args #>> '{payload,context,oaflow,run}', of.args #>> '{payload,context,oaflow,stage}', 0, 1)
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open;
    END IF;
    INSERT INTO oaflow.emitted (id, job, attempt, args) VALUES (p_id, p_job, of.attempts, p_args);
END $$;

-- A job of a service has come to its end: its answer takes its place, with what was handed over meanwhile. Where it
-- failed, that is nothing, unless its stage says `emit: always`.
--
-- Once for each job, whoever says it: false where it is known already, or is no open job of a run. p_error is what is
-- known of why it failed; NULL where it did not. To be called by who holds the row of the job, so that two wait for each
-- other.
CREATE FUNCTION oaflow.answer_v1(p_job bigint, p_args jsonb, p_priority integer, p_attempts integer, p_error jsonb)
RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    mark jsonb := p_args #> '{payload,context,oaflow}';
    emit text := mark ->> 'external';
    returned jsonb := '[]';
    made bigint;
BEGIN
    IF emit IS NULL
       OR NOT EXISTS (SELECT FROM oaflow.runs r WHERE r.id = mark ->> 'run')
       OR EXISTS (SELECT FROM oaflow.hops h
                   WHERE h.run = mark ->> 'run' AND h.job = p_job
                     AND h.outcome IN ('answered', 'cancelled', 'vanished')) THEN
        PERFORM oaflow.unsay_v1(p_job);
        RETURN false;
    END IF;
    IF emit = 'always' OR (p_error IS NULL AND emit = 'success') THEN
        SELECT coalesce(jsonb_agg(e.args ORDER BY e.id), '[]') INTO returned FROM oaflow.emitted e WHERE e.job = p_job;
    END IF;
    made := oaflow.put_answer_v1(p_job, p_args, p_priority, p_attempts, 'answered', returned, p_error);
    UPDATE oaflow.collected k SET job = made WHERE k.job = p_job;
    PERFORM oaflow.unsay_v1(p_job);
    RETURN true;
END $$;

-- Answers of jobs of a run that have ended in their service, which nobody took down when they did: their service's
-- statement went on without. Of captured ones only: of others nobody knows what they handed over. How many there were.
CREATE FUNCTION oaflow.answer_rest_v1(p_run text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE j record; n integer := 0;
BEGIN
    FOR j IN
        SELECT k.id, k.args, k.priority, k.attempts, k.status::text FROM (
            SELECT DISTINCT s.id FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) AS s (id)
             WHERE h.run = p_run AND h.successors IS NOT NULL) handed
          JOIN procrastinate_jobs k ON k.id = handed.id
         WHERE k.status IN ('succeeded', 'failed', 'aborted')
           AND k.args #> '{payload,context,oaflow,external}' IS NOT NULL
           AND k.args #>> '{payload,context,oaflow,job}' = k.id::text
           AND NOT EXISTS (SELECT FROM oaflow.hops e WHERE e.run = p_run AND e.job = k.id
                              AND e.outcome IN ('answered', 'cancelled', 'vanished'))
         ORDER BY k.id FOR NO KEY UPDATE OF k SKIP LOCKED
    LOOP
        n := n + oaflow.answer_v1(j.id, j.args, j.priority, greatest(j.attempts, 1),
                                  CASE WHEN j.status <> 'succeeded' THEN '{}'::jsonb END)::int;
    END LOOP;
    RETURN n;
END $$;

-- Takes out what was handed over for jobs that are gone: somebody truncated the table, or capture was away meanwhile.
CREATE FUNCTION oaflow.unsay_rest_v1() RETURNS void
LANGUAGE sql AS $$
    SELECT oaflow.unsay_v1(e.job) FROM (SELECT DISTINCT o.job FROM oaflow.emitted o) e
     WHERE NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.id = e.job)
$$;

-- Workers of services that collect what their jobs hand over (`python -m oaflow.shim`), and their tasks. They live as long
-- as procrastinate's row of them.
CREATE TABLE oaflow.shims (
    worker bigint PRIMARY KEY,
    tasks  text[] NOT NULL
);

-- What such a worker says of a job that has come to its end: all that it handed over, and why it failed, NULL where it did
-- not. Of an attempt that the job has no more nothing is taken. False where it is known already.
CREATE FUNCTION oaflow.end_v1(p_job bigint, p_attempt integer, p_emitted jsonb, p_error jsonb) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    of record;
    new jsonb;
BEGIN
    SELECT j.args, j.priority INTO of FROM procrastinate_jobs j
     WHERE j.id = p_job AND j.status::text = 'doing' AND j.attempts = p_attempt FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    FOR new IN SELECT e FROM jsonb_array_elements(p_emitted) WITH ORDINALITY AS u (e, ord) ORDER BY ord LOOP
        PERFORM oaflow.hear_v1(p_job, nextval('procrastinate_jobs_id_seq'), new);
    END LOOP;
    RETURN oaflow.answer_v1(p_job, of.args, of.priority, p_attempt + 1, p_error);
END $$;
