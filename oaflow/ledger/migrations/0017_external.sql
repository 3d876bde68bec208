-- Jobs of stages that live in services of their own. Such a job is a row like any other, which the service claims and
-- ends; its mark says `external`, with the way in which what it hands over leaves it, and (where that is captured) its own
-- id as `job`, which comes back with all that the service hands over, since that copies the context of its job.
--
-- At its end an answer takes its place: a job of the same stage that holds what was handed over, and that a worker of
-- oaflow claims and routes as the output of any stage. So the counters do not move before that, and what follows is
-- handed over exactly once.

-- What services handed over for jobs that have not come to their end.
CREATE TABLE oaflow.emitted (
    id   bigint PRIMARY KEY,
    job  bigint NOT NULL,
    args jsonb NOT NULL,
    at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX emitted_by_job ON oaflow.emitted (job, id);

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
    of_run text := mark ->> 'run';
    made bigint;
    returned jsonb := '[]';
BEGIN
    IF NOT coalesce(mark ? 'external', false)
       OR NOT EXISTS (SELECT FROM oaflow.runs r WHERE r.id = of_run)
       OR EXISTS (SELECT FROM oaflow.hops h
                   WHERE h.run = of_run AND h.job = p_job AND h.outcome IN ('answered', 'cancelled', 'vanished')) THEN
        PERFORM oaflow.unsay_v1(p_job);
        RETURN false;
    END IF;
    IF p_error IS NULL OR mark ->> 'external' = 'always' THEN
        SELECT coalesce(jsonb_agg(e.args ORDER BY e.id), '[]') INTO returned FROM oaflow.emitted e WHERE e.job = p_job;
    END IF;
    made := nextval('procrastinate_jobs_id_seq');
    INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args)
    VALUES (made, 'oaflow', 'oaflow.stages.answer', p_priority,
            jsonb_set(p_args, '{payload,context,oaflow}', (mark - '{external,job}'::text[]) || jsonb_build_object(
                'parent', p_job,
                'answered', jsonb_strip_nulls(jsonb_build_object(
                    'emit', mark -> 'external', 'parent', mark -> 'parent', 'attempts', p_attempts, 'failed', p_error))
                    || jsonb_build_object('returned', returned))));
    INSERT INTO oaflow.hops (run, stage, job, parent, attempt, outcome, successors, documents, detail)
    SELECT of_run, mark ->> 'stage', p_job, (mark ->> 'parent')::bigint, p_attempts, 'answered', ARRAY[made],
           ARRAY(SELECT jsonb_array_elements_text(d.documents)),
           jsonb_build_object('handed', jsonb_build_array(jsonb_build_array(mark ->> 'stage', d.documents)))
      FROM (SELECT jsonb_path_query_array(p_args, '$.payload.entities[*].id') AS documents) d;
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
