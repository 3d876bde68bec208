-- A page of the jobs of a stage, each with its last line of history. The history is indexed by run and job: a number of
-- lines is read from a job on, in either direction, of any stage. `edge` is where the next page starts; it comes with each
-- row, or alone if none of the lines belongs to the stage.
WITH read AS (
    (SELECT h.job, h.stage, h.outcome, h.at FROM oaflow.hops h
      WHERE NOT %(oldest)s AND h.run = %(run)s AND h.job < coalesce(%(from)s, 9223372036854775807)
      ORDER BY h.job DESC LIMIT %(lines)s)
    UNION ALL
    (SELECT h.job, h.stage, h.outcome, h.at FROM oaflow.hops h
      WHERE %(oldest)s AND h.run = %(run)s AND h.job > coalesce(%(from)s, 0)
      ORDER BY h.job LIMIT %(lines)s)
), last AS (
    -- Some lines of the last job may be missing: unless it is the only one, it comes with the next page.
    SELECT CASE WHEN count(*) = %(lines)s THEN CASE WHEN %(oldest)s THEN max(job) ELSE min(job) END END AS job,
           count(*) = %(lines)s AND min(job) <> max(job) AS cut
      FROM read
), page AS (
    SELECT * FROM (
        SELECT DISTINCT ON (r.job) r.job, r.at, r.outcome FROM read r CROSS JOIN last
         WHERE r.stage = %(stage)s AND r.outcome <> 'chunk' AND NOT (last.cut AND r.job = last.job)
         ORDER BY r.job, r.at DESC) found
     ORDER BY CASE WHEN %(oldest)s THEN job ELSE -job END LIMIT %(limit)s
), edge AS (
    SELECT CASE WHEN (SELECT count(*) FROM page) = %(limit)s
                THEN (SELECT CASE WHEN %(oldest)s THEN max(job) ELSE min(job) END FROM page)
                WHEN last.cut THEN CASE WHEN %(oldest)s THEN last.job - 1 ELSE last.job + 1 END
                ELSE last.job END AS job
      FROM last
)
SELECT edge.job AS edge, p.job, p.at, p.outcome, h.attempt, h.started, h.ended, h.worker, h.version,
       h.detail #>> '{error,type}' AS type, h.detail #>> '{error,message}' AS message,
       h.documents[1:3] AS documents, coalesce(cardinality(h.documents), 0) AS count,
       ARRAY(SELECT coalesce(d.name, u.id) FROM unnest(h.documents[1:3]) WITH ORDINALITY AS u (id, ord)
               LEFT JOIN LATERAL (
                 -- OFFSET: looked up one by one; joined, all documents of the run would be read.
                 SELECT d.name FROM oaflow.documents d WHERE d.run = %(run)s AND d.document = u.id OFFSET 0) d ON true
              ORDER BY u.ord) AS names
  FROM edge LEFT JOIN page p ON true
  LEFT JOIN LATERAL (
    SELECT * FROM oaflow.hops h WHERE h.run = %(run)s AND h.job = p.job AND h.at = p.at AND h.outcome = p.outcome LIMIT 1) h ON true
 ORDER BY CASE WHEN %(oldest)s THEN p.job ELSE -p.job END
