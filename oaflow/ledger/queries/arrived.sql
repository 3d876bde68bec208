-- Jobs as they arrived at their stages; the arrays of runs and jobs are parallel.
SELECT a.job, a.args FROM unnest(%(runs)s::text[], %(jobs)s::bigint[]) AS u (run, job)
 CROSS JOIN LATERAL (SELECT a.job, a.args FROM oaflow.arrived a WHERE a.run = u.run AND a.job = u.job OFFSET 0) a
