-- Jobs of a run as they arrived at their stages.
SELECT DISTINCT ON (a.job) a.job, a.args FROM (
    SELECT a.job, a.args FROM oaflow.arrived a WHERE a.run = %(run)s AND a.job = ANY (%(jobs)s::bigint[])
    UNION ALL SELECT j.id, j.args FROM procrastinate_jobs j
     WHERE j.id = ANY (%(jobs)s::bigint[]) AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
    UNION ALL SELECT k.job, k.args FROM oaflow.failures k
     WHERE k.run = %(run)s AND k.job = ANY (%(jobs)s::bigint[]) AND k.args IS NOT NULL) a
