-- The jobs of a run that have ended, with their parents and documents; `failed`: it failed and was not retried. `kept`:
-- whether a job still exists as it arrived: in our own table, as a row of procrastinate's, or with the failure. Not for
-- collected jobs (their parts are kept), and not for what a service was sent, because that contains its options.
WITH hop AS MATERIALIZED (
    SELECT h.job, h.stage, h.version, h.outcome, h.documents, h.successors, h.detail -> 'handed' AS handed,
           h.detail -> 'reopened' AS reopened
      FROM oaflow.hops h WHERE h.run = %(run)s
), replaced AS MATERIALIZED (
    SELECT (v.old #>> '{}')::bigint AS job, v.next FROM hop
     CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements(hop.reopened), unnest(hop.successors)) AS v (old, next)
     WHERE hop.outcome = 'reopened'
), follows AS MATERIALIZED (
    SELECT s.next, array_agg(DISTINCT s.job) AS jobs FROM (
        SELECT hop.job, s.next FROM hop CROSS JOIN LATERAL unnest(hop.successors) AS s (next) WHERE hop.job IS NOT NULL
        UNION ALL SELECT replaced.job, replaced.next FROM replaced) s
     GROUP BY s.next
), ended AS MATERIALIZED (
    SELECT hop.job, max(hop.stage) AS stage, max(hop.version) AS version,
           -- A collected job names its documents in its hand-over.
           max(coalesce(hop.documents, ARRAY(
                SELECT jsonb_array_elements_text(hop.handed -> 0 -> 1) WHERE hop.outcome = 'collected'))) AS documents,
           bool_or(hop.outcome = 'failed') AND NOT bool_or(hop.job IN (SELECT replaced.job FROM replaced)) AS failed
      FROM hop WHERE hop.job IS NOT NULL
     GROUP BY hop.job
    HAVING bool_or(hop.outcome IN ('done', 'collected', 'parted', 'answered', 'failed', 'diverted'))
)
SELECT e.job, %(run)s AS run, coalesce(f.jobs, '{}') AS parents, e.stage, coalesce(e.documents, '{}') AS documents,
       EXISTS (SELECT FROM oaflow.arrived a WHERE a.run = %(run)s AND a.job = e.job)
           OR EXISTS (SELECT FROM procrastinate_jobs j WHERE j.id = e.job
                         AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
                         AND NOT j.args #> '{payload,context,oaflow}' ?| '{collected,external}')
           OR EXISTS (SELECT FROM oaflow.failures k WHERE k.job = e.job AND k.run = %(run)s AND k.args IS NOT NULL
                         AND NOT k.args #> '{payload,context,oaflow}' ?| '{collected,external}') AS kept,
       coalesce(e.version, '') AS version, e.failed
  FROM ended e LEFT JOIN follows f ON f.next = e.job
 ORDER BY e.job
