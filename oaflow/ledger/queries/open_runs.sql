-- Unfinished runs, with their plans. After a retry, a run is not cancelled for too many failures.
SELECT r.id, r.plan, p.format, p.definition, r.params, r.dataset, r.state, r.first, r.places,
       (r.stop_after IS NOT NULL OR r.stop_percent IS NOT NULL) AND r.round = 1 AS stops
  FROM oaflow.runs r JOIN oaflow.plans p ON p.digest = r.plan
 WHERE r.state IN ('running', 'paused', 'interrupted')
