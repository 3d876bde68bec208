-- The path of a document through a run: each job that carried it, with its parent, and every line of history about it.
--
-- Starts from the job that reported the document, and from those that entered the run or were retried, and follows the
-- successors of each job: only index probes, and only in the days of the run. (An index of documents in the history would
-- cost each hand-over more than all other indexes do.) `jobs` are further ones to start from.
WITH RECURSIVE way (job, stage, parent, since, of) AS (
    SELECT s.job, h.detail -> 'handed' -> (s.ord::int - 1) ->> 0, h.job, h.at, NULL::bigint
      FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) WITH ORDINALITY AS s (job, ord)
     WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s
       AND (h.job = %(found)s OR h.job IS NULL AND NOT h.detail ? 'reopened')
       -- The first condition is fast and finds the line, the second the job in it.
       AND h.detail @> jsonb_build_object('handed', jsonb_build_array(jsonb_build_array(jsonb_build_array(%(document)s::text))))
       AND h.detail -> 'handed' -> (s.ord::int - 1) -> 1 ? %(document)s
    UNION
    SELECT u.job, NULL, NULL, NULL, NULL FROM unnest(%(jobs)s::bigint[]) AS u (job)
    UNION
    SELECT n.* FROM way CROSS JOIN LATERAL (
        SELECT s.job, h.detail -> 'handed' -> (s.ord::int - 1) ->> 0, h.job, h.at, NULL::bigint
          FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) WITH ORDINALITY AS s (job, ord)
         WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s AND h.job = way.job
           AND h.detail @> jsonb_build_object('handed', jsonb_build_array(jsonb_build_array(jsonb_build_array(%(document)s::text))))
           AND h.detail -> 'handed' -> (s.ord::int - 1) -> 1 ? %(document)s
        UNION ALL
        SELECT s.job, h.detail -> 'handed' -> (s.ord::int - 1) ->> 0, way.job, h.at, way.job
          FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) WITH ORDINALITY AS s (job, ord)
         WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s AND h.job IS NULL
           AND h.detail -> 'reopened' -> (s.ord::int - 1) = to_jsonb(way.job)) n
), jobs AS (
    SELECT DISTINCT ON (way.job) way.* FROM way ORDER BY way.job, way.since
)
SELECT jobs.job, coalesce(h.stage, jobs.stage) AS stage, coalesce(jobs.parent, h.parent) AS parent, jobs.since, jobs.of,
       h.at, h.attempt, h.outcome, h.started, h.ended, h.worker, h.version, h.documents,
       h.detail - 'returned' AS detail
  FROM jobs LEFT JOIN LATERAL (
    SELECT * FROM oaflow.hops h
     -- OFFSET: looked up job by job; joined, all of the run would be read
     WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s AND h.job = jobs.job OFFSET 0) h ON true
 ORDER BY jobs.job, h.at
