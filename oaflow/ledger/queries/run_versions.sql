-- The versions of code that ran in each stage of a run: a plan pins wiring and options, not code.
SELECT stage, version, count(*) AS attempts FROM oaflow.hops
 WHERE run = %(run)s AND stage IS NOT NULL AND version <> ''
 GROUP BY stage, version ORDER BY stage, min(at)
