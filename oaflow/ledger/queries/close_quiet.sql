-- Ends runs without open jobs; before that, starts joins and collects jobs that have waited.
SELECT r.id, oaflow.close_v1(r.id) AS state FROM unnest(%(runs)s::text[]) AS r (id)
 WHERE (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k WHERE k.run = r.id) <= 0
    OR EXISTS (SELECT 1 FROM oaflow.joins j JOIN oaflow.runs u ON u.id = j.run WHERE j.run = r.id AND j.fired < u.round)
    OR EXISTS (SELECT 1 FROM oaflow.collects k WHERE k.run = r.id)
