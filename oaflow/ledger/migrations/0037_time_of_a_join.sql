-- As it was; a join has the time at which it fires. Its transaction may have begun before the last job that it waited for had
-- ended, and the history showed the join before that end.
CREATE OR REPLACE FUNCTION oaflow.fire_v1(p_run text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT nextval('procrastinate_jobs_id_seq') AS id, o.* FROM (
            SELECT j.stage, j.queue, j.task, j.priority, r.round,
                   jsonb_set(j.args, '{payload,context,run}', jsonb_build_object(
                       'id', p_run, 'round', r.round,
                       'failed', (SELECT coalesce(sum(k.failed), 0) FROM oaflow.counters k WHERE k.run = p_run)
                   )) AS args
              FROM oaflow.joins j JOIN oaflow.runs r ON r.id = j.run
             WHERE j.run = p_run AND j.fired < r.round AND r.sealed AND r.state IN ('running', 'paused', 'interrupted')
               AND NOT EXISTS (SELECT 1 FROM oaflow.joins b
                                WHERE b.run = p_run AND b.stage = ANY (j.waits) AND b.fired < r.round)
               AND (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k
                     WHERE k.run = p_run AND k.stage = ANY (j.waits)) = 0
             ORDER BY j.stage) o
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args)
        SELECT id, queue, task, priority, args FROM due ORDER BY id
    ), marked AS (
        UPDATE oaflow.joins j SET fired = due.round FROM due WHERE j.run = p_run AND j.stage = due.stage
    ), hop AS (
        INSERT INTO oaflow.hops (run, at, outcome, successors, detail)
        SELECT p_run, clock_timestamp(), 'joined', array_agg(id ORDER BY id),
               jsonb_build_object('handed', jsonb_agg(jsonb_build_array(stage, '[]'::jsonb) ORDER BY id))
          FROM due HAVING count(*) > 0
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open)
        SELECT p_run, stage, 0, 1 FROM due ORDER BY stage
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open
    )
    SELECT count(*) INTO n FROM due;
    RETURN n;
END $$;
