-- The entities that some jobs carried as they arrived at their stages; the arrays of runs and jobs are parallel.
SELECT a.job, ARRAY(SELECT e ->> 'id' FROM jsonb_array_elements(a.args #> '{payload,entities}') AS e) AS entities
  FROM unnest(%(runs)s::text[], %(jobs)s::bigint[]) AS u (run, job)
 CROSS JOIN LATERAL (SELECT a.job, a.args FROM oaflow.arrived a WHERE a.run = u.run AND a.job = u.job OFFSET 0) a
