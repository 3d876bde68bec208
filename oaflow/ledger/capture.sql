-- Capture: what services hand over, and where their jobs come to an end, is taken down by triggers on procrastinate's
-- table. Apart from oaflow's schema: `oaflow db migrate --capture` makes it, `--no-capture` takes it away (uncapture.sql).
--
-- Only jobs are touched whose mark says `external`. No body ever fails the statement of a service: what goes wrong is a
-- warning in the server's log, and found by the sweeper. As who made them, since the role of a service may not write here.

-- What stands under a temporary name is looked at last: the caller could have made it.
SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true);

-- A job of an external stage is given its own id to carry, and so is what comes back with it: that is taken down, and its
-- row stays where it is, ended, since who inserts wants to know its number.
CREATE OR REPLACE FUNCTION oaflow.capture_new_v1() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    asked text := NEW.args #>> '{payload,context,oaflow,job}';
    as_it_came procrastinate_jobs := NEW;
BEGIN
    IF asked IS NULL THEN
        -- Of a job that had no number yet when its service took it: nobody can say which. It goes where it would go.
        IF NOT oaflow.is_asked_v1(NEW.args #>> '{payload,context,oaflow,run}', NEW.args #>> '{payload,context,oaflow,stage}',
                                  NEW.queue_name, NEW.task_name) THEN
            RETURN NEW;
        END IF;
        NEW.args := jsonb_set(NEW.args, '{payload,context,oaflow,job}', to_jsonb(NEW.id));
        RETURN NEW;
    END IF;
    PERFORM oaflow.hear_v1(asked::bigint, NEW.id, NEW.args);
    NEW.queue_name := 'oaflow'; NEW.task_name := 'oaflow.captured'; NEW.status := 'succeeded';
    NEW.lock := NULL; NEW.queueing_lock := NULL;
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'oaflow: job % was not captured: %', NEW.id, SQLERRM;
    RETURN as_it_came;
END $$;

-- A job of an external stage came to its end, or goes back for another attempt, which will say all of it again. Of one
-- without a number nobody knows what it handed over: the sweeper finds it gone.
CREATE OR REPLACE FUNCTION oaflow.capture_end_v1() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.args #>> '{payload,context,oaflow,job}' IS DISTINCT FROM NEW.id::text THEN RETURN NULL; END IF;
    CASE NEW.status::text
        WHEN 'succeeded' THEN PERFORM oaflow.answer_v1(NEW.id, NEW.args, NEW.priority, greatest(NEW.attempts, 1), NULL);
        WHEN 'failed', 'aborted' THEN
            PERFORM oaflow.answer_v1(NEW.id, NEW.args, NEW.priority, greatest(NEW.attempts, 1), '{}');
        WHEN 'todo' THEN
            IF NEW.args #>> '{payload,context,oaflow,external}' <> 'stream' THEN PERFORM oaflow.unsay_v1(NEW.id); END IF;
        ELSE NULL;
    END CASE;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'oaflow: the end of job % was not taken down: %', NEW.id, SQLERRM;
    RETURN NULL;
END $$;

-- A job of an external stage was deleted before its end: what it handed over is nobody's. The sweeper finds it gone.
CREATE OR REPLACE FUNCTION oaflow.capture_gone_v1() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM oaflow.unsay_v1(OLD.id);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'oaflow: the deletion of job % was not taken down: %', OLD.id, SQLERRM;
    RETURN NULL;
END $$;

-- What was handed over without it is heard first, and nothing comes in between: the sweeper waits, and who writes into the
-- table does.
SELECT pg_advisory_xact_lock(hashtext('oaflow.sweep'));
LOCK TABLE procrastinate_jobs IN SHARE ROW EXCLUSIVE MODE;
SELECT oaflow.capture_begins_v1();

DROP TRIGGER IF EXISTS oaflow_capture_new ON procrastinate_jobs;
CREATE TRIGGER oaflow_capture_new BEFORE INSERT ON procrastinate_jobs FOR EACH ROW
    WHEN (NEW.args #> '{payload,context,oaflow,external}' IS NOT NULL) EXECUTE FUNCTION oaflow.capture_new_v1();
DROP TRIGGER IF EXISTS oaflow_capture_end ON procrastinate_jobs;
CREATE TRIGGER oaflow_capture_end AFTER UPDATE OF status ON procrastinate_jobs FOR EACH ROW
    WHEN (NEW.status <> OLD.status AND NEW.args #> '{payload,context,oaflow,external}' IS NOT NULL)
    EXECUTE FUNCTION oaflow.capture_end_v1();
DROP TRIGGER IF EXISTS oaflow_capture_gone ON procrastinate_jobs;
CREATE TRIGGER oaflow_capture_gone AFTER DELETE ON procrastinate_jobs FOR EACH ROW
    WHEN (OLD.status IN ('todo', 'doing') AND OLD.args #> '{payload,context,oaflow,external}' IS NOT NULL)
    EXECUTE FUNCTION oaflow.capture_gone_v1();
