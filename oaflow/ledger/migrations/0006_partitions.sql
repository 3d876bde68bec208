-- History by day: a partition for each of the coming days, so that a day can be dropped as a whole when it is too old.
--
-- No hand-over ever waits for one: what has no partition goes to the default one. A day of which the default one has
-- rows already gets none (the rows would have to move). Attached, and not created in place: that would lock out
-- hand-overs. Answers the names of what was made.
CREATE FUNCTION oaflow.partitions_v1(p_days integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    day date;
    name text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.partitions')) THEN RETURN; END IF;
    SET LOCAL lock_timeout = '1s';
    FOR day IN SELECT today + n FROM generate_series(0, p_days) n LOOP
        name := 'hops_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('oaflow.' || name) IS NOT NULL;
        CONTINUE WHEN EXISTS (SELECT 1 FROM oaflow.hops_default
                               WHERE at >= day::timestamp AT TIME ZONE 'UTC' AND at < (day + 1)::timestamp AT TIME ZONE 'UTC');
        BEGIN
            EXECUTE format('CREATE TABLE oaflow.%I (LIKE oaflow.hops INCLUDING DEFAULTS)', name);
            EXECUTE format('ALTER TABLE oaflow.hops ATTACH PARTITION oaflow.%I FOR VALUES FROM (%L) TO (%L)', name,
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            RETURN NEXT name;
        EXCEPTION WHEN lock_not_available THEN RETURN;  -- the next hour will do
        END;
    END LOOP;
END $$;

SELECT oaflow.partitions_v1(7);
