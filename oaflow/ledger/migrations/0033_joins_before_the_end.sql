-- As it was; a run whose last job ended while its joins were looked at has them fire now, and is not at its end. Each look
-- has a snapshot of its own: the first saw the job open, and fired nothing; the next saw nothing open, and ended the run.
CREATE OR REPLACE FUNCTION oaflow.close_v1(p_run text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE left_open bigint; lost bigint; answer text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    IF oaflow.gather_v1(p_run) > 0 THEN RETURN 'gathered'; END IF;
    IF oaflow.fire_v1(p_run) > 0 THEN RETURN 'joined'; END IF;
    SELECT coalesce(sum(open), 0), coalesce(sum(vanished), 0) INTO left_open, lost
      FROM oaflow.counters WHERE run = p_run;
    IF left_open = 0 THEN
        -- Where nothing is open nothing can become so but by a join: what this look does not fire has no more to wait for.
        IF oaflow.fire_v1(p_run) > 0 THEN RETURN 'joined'; END IF;
        UPDATE oaflow.runs SET state = CASE WHEN lost > 0 THEN 'incomplete' ELSE 'finished' END, finished_at = clock_timestamp()
         WHERE id = p_run AND sealed AND state IN ('running', 'paused', 'interrupted') RETURNING state INTO answer;
        IF FOUND THEN
            PERFORM pg_notify('oaflow', json_build_object('event', 'run.ended', 'run', p_run)::text);
        END IF;
    END IF;
    RETURN answer;
END $$;
