-- Which of some files jobs may still need: jobs that wait, and failed jobs that may be retried. Looked up in a hash, as in
-- hashes.sql.
SELECT DISTINCT f.hash
  FROM (SELECT j.args FROM procrastinate_jobs j WHERE j.status IN ('todo', 'doing')
        UNION ALL SELECT k.args FROM oaflow.failures k WHERE k.resolved_at IS NULL
        UNION ALL SELECT w.args FROM oaflow.collected w) a
 CROSS JOIN LATERAL oaflow.files_of_v1(a.args) AS f (hash)
 WHERE f.hash IN (SELECT unnest(%(hashes)s::text[]))
