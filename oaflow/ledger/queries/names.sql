-- The latest runs, with the names that shell completion offers for them. Only a sample of failures: there may be a million.
SELECT r.id AS run, r.dataset, ARRAY(SELECT jsonb_object_keys(p.definition -> 'stages')) AS stages,
       ARRAY(SELECT DISTINCT (s.value ->> 'queue') || '/' || (s.value ->> 'task')
               FROM jsonb_each(p.definition -> 'stages') s) AS tasks,
       ARRAY(SELECT DISTINCT s.fingerprint FROM (
             SELECT f.fingerprint FROM oaflow.failures f
              WHERE f.run = r.id AND f.resolved_at IS NULL AND f.fingerprint IS NOT NULL LIMIT 1000) s) AS causes
  FROM (SELECT * FROM oaflow.runs ORDER BY created_at DESC LIMIT 100) r JOIN oaflow.plans p ON p.digest = r.plan
 ORDER BY r.created_at DESC
