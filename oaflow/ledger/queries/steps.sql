-- The paths of some files of a pipeline and dataset, job by job; `kept`: whether a job still exists as it arrived.
SELECT s.document, s.job, s.run, s.parents, s.stage, s.documents,
       EXISTS (SELECT FROM oaflow.arrived a WHERE a.run = s.run AND a.job = s.job) AS kept
  FROM oaflow.steps s
 WHERE s.dataset = %(dataset)s AND s.pipeline = %(pipeline)s AND s.document = ANY (%(documents)s::text[])
 ORDER BY s.document, s.job
