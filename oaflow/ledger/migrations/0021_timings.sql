-- How long attempts take, in sums: what an estimate is made of. Workers add to it every few seconds, apart from the
-- hand-over, which it costs nothing; a kill takes those seconds with it, and an answer that is lost counts them twice. Rows are by kind of work, and do not
-- grow with the work that is done.

-- Attempts at jobs of one stage and media type ('' where none is known). `jobs` of them were the last of their job,
-- `members` is how many jobs these were put together of. `in_loop` says that the function is async. `seconds` is what all attempts took, `squares` the sum of the squares;
-- `times` counts them by length (`oaflow.forecast.bucket`), `successors` what was handed over, by stage.
CREATE TABLE oaflow.timings (
    run        text NOT NULL,
    stage      text NOT NULL,
    media      text NOT NULL,
    in_loop    boolean NOT NULL,
    attempts   bigint NOT NULL,
    jobs       bigint NOT NULL,
    members    bigint NOT NULL,
    seconds    double precision NOT NULL,
    squares    double precision NOT NULL,
    times      bigint[] NOT NULL,
    successors jsonb NOT NULL,
    PRIMARY KEY (run, stage, media)
);

-- For how many seconds a worker had jobs of a run in hand, in which span of time, and with how many executors.
CREATE TABLE oaflow.shifts (
    run       text NOT NULL,
    worker    bigint NOT NULL,
    executors integer NOT NULL,
    began     timestamptz NOT NULL,
    ended     timestamptz NOT NULL,
    seconds   double precision NOT NULL,
    PRIMARY KEY (run, worker)
);

-- Processes of a worker that run sync stages, and the bytes that it and they have resident.
ALTER TABLE oaflow.workers
    ADD COLUMN executors integer,
    ADD COLUMN memory    bigint;

-- Adds what a worker has seen since it last said so. Of runs that are gone nothing is kept.
CREATE FUNCTION oaflow.keep_timings_v1(p_worker bigint, p_executors integer, p_memory bigint, p_timings jsonb, p_shifts jsonb)
RETURNS void
LANGUAGE sql AS $$
    UPDATE oaflow.workers SET executors = p_executors, memory = p_memory WHERE id = p_worker;
    INSERT INTO oaflow.timings AS t (run, stage, media, in_loop, attempts, jobs, members, seconds, squares, times, successors)
    SELECT u.* FROM jsonb_to_recordset(p_timings) AS u (
        run text, stage text, media text, in_loop boolean, attempts bigint, jobs bigint, members bigint, seconds float8, squares float8,
        times bigint[], successors jsonb)
      JOIN oaflow.runs r ON r.id = u.run
     ORDER BY u.run, u.stage, u.media  -- one order for all
    ON CONFLICT (run, stage, media) DO UPDATE
       SET in_loop = excluded.in_loop, attempts = t.attempts + excluded.attempts, jobs = t.jobs + excluded.jobs, members = t.members + excluded.members,
           seconds = t.seconds + excluded.seconds, squares = t.squares + excluded.squares,
           times = ARRAY(SELECT coalesce(x.a, 0) + coalesce(x.b, 0)
                           FROM unnest(t.times, excluded.times) WITH ORDINALITY AS x (a, b, n) ORDER BY x.n),
           successors = coalesce((
               SELECT jsonb_object_agg(s.stage, s.jobs)
                 FROM (SELECT e.key AS stage, sum(e.value::bigint) AS jobs
                         FROM (SELECT * FROM jsonb_each_text(t.successors)
                               UNION ALL SELECT * FROM jsonb_each_text(excluded.successors)) e GROUP BY e.key) s), '{}');
    INSERT INTO oaflow.shifts AS s (run, worker, executors, began, ended, seconds)
    SELECT u.run, p_worker, p_executors, to_timestamp(u.began), to_timestamp(u.ended), u.seconds
      FROM jsonb_to_recordset(p_shifts) AS u (run text, began float8, ended float8, seconds float8)
      JOIN oaflow.runs r ON r.id = u.run ORDER BY u.run
    ON CONFLICT (run, worker) DO UPDATE
       SET ended = excluded.ended, seconds = s.seconds + excluded.seconds, executors = excluded.executors;
$$;
