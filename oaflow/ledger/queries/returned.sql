-- The first samples of each stage of a run.
SELECT first.stage, first.job, first.detail -> 'returned' -> 'jobs' AS jobs,
       coalesce(first.detail -> 'returned' -> 'depth', '{}') AS depth
  FROM (SELECT h.stage, h.job, h.detail, h.at, row_number() OVER (PARTITION BY h.stage ORDER BY h.at, h.job) AS number
          FROM oaflow.hops h
         WHERE h.run = %(run)s AND h.detail ? 'returned' AND (%(stage)s::text IS NULL OR h.stage = %(stage)s)) first
 WHERE first.number <= %(limit)s
 ORDER BY first.stage, first.number
