-- The account of a run's documents, as before, and in half the time for 120,000 of them. Of the history only what is asked for
-- is kept between the steps. Most jobs hand on, or lose, all that they worked on at once: that is seen in the row itself. What
-- the others did with theirs is counted in one go, since nothing is known of how many they are: a join may be of the square.
CREATE OR REPLACE FUNCTION oaflow.receipt_v1(p_run text, p_index text[])
RETURNS TABLE (document text, name text, kind text, line text, reason text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE hop AS MATERIALIZED (
        SELECT h.job, h.stage, h.outcome, h.documents, h.successors, h.detail -> 'handed' AS handed, h.detail -> 'lost' AS lost,
               coalesce(to_jsonb(h.documents) IN (h.detail #> '{handed,0,1}', h.detail #> '{lost,0,3}'), false) AS told
          FROM oaflow.hops h WHERE h.run = p_run
    ), lost AS MATERIALIZED (
        SELECT hop.job, l ->> 0 AS kind, d #>> '{}' AS document, l ->> 2 AS reason
          FROM hop CROSS JOIN LATERAL jsonb_array_elements(hop.lost) AS l
         CROSS JOIN LATERAL jsonb_path_query(l, '$[3][*]') AS d
         WHERE hop.lost IS NOT NULL
    ), worked AS MATERIALIZED (
        SELECT hop.job, hop.stage, hop.outcome, hop.told, d.document
          FROM hop CROSS JOIN LATERAL unnest(hop.documents) AS d (document)
         WHERE hop.outcome IN ('done', 'diverted', 'vanished')
    ), fate (job, document, stage) AS (  -- what a job worked on; without a stage: what it said of it
        SELECT w.job, w.document, w.stage FROM worked w
         WHERE w.outcome = 'done' AND NOT w.told AND NOT (w.stage = ANY (p_index))
        UNION ALL
        SELECT hop.job, v #>> '{}', NULL FROM hop CROSS JOIN LATERAL jsonb_path_query(hop.handed, '$[*][1][*]') AS v
         WHERE hop.outcome <> 'collected' AND NOT hop.told
        UNION ALL
        SELECT lost.job, lost.document, NULL FROM lost
    ), after AS (  -- what came of diverted jobs
        SELECT s.job FROM hop CROSS JOIN LATERAL unnest(hop.successors) AS s (job) WHERE hop.outcome = 'diverted'
        UNION
        SELECT s.job FROM after JOIN hop ON hop.job = after.job CROSS JOIN LATERAL unnest(hop.successors) AS s (job)
    ), saved AS (
        SELECT w.document FROM worked w JOIN after USING (job) WHERE w.outcome = 'done' AND w.stage = ANY (p_index)
    ), fact (document, rank, line, reason) AS (
        SELECT d.document, 1, 'failed', concat_ws(': ', f.stage, f.type, f.message)
          FROM oaflow.failures f CROSS JOIN LATERAL unnest(coalesce(f.documents, ARRAY(
                SELECT e ->> 'id'  -- a job failed by the recovery of its dead worker has no list of documents
                  FROM jsonb_path_query(f.args, '$.payload.entities[*]') AS e))) AS d (document)
         WHERE f.run = p_run AND f.resolved_at IS NULL
        UNION ALL
        SELECT w.document, 2, 'vanished', 'a job of ' || w.stage || ' was deleted' FROM worked w WHERE w.outcome = 'vanished'
        UNION ALL
        SELECT w.document, 3, 'diverted', 'by ' || w.stage FROM worked w
         WHERE w.outcome = 'diverted' AND w.document NOT IN (SELECT saved.document FROM saved)
        UNION ALL
        SELECT w.document, 4, 'indexed', NULL FROM worked w WHERE w.outcome = 'done' AND w.stage = ANY (p_index)
        UNION ALL
        SELECT lost.document, 6, 'ended', lost.reason FROM lost WHERE lost.kind = 'ended'
        UNION ALL
        SELECT fate.document, 6, 'ended', max(fate.stage) || ' returned nothing for it' FROM fate
         GROUP BY fate.job, fate.document HAVING count(*) = count(fate.stage)
        UNION ALL
        SELECT lost.document, CASE lost.kind WHEN 'unmatched' THEN 7 ELSE 8 END, lost.kind, lost.reason
          FROM lost WHERE lost.kind IN ('unmatched', 'dropped')
    ), first AS MATERIALIZED (
        SELECT DISTINCT ON (fact.document) fact.document, fact.line, fact.reason
          FROM fact ORDER BY fact.document, fact.rank, fact.reason
    )
    SELECT d.document, d.name, d.kind,
           coalesce(first.line, CASE WHEN d.kind IN ('skipped', 'unchanged') THEN d.kind END),
           CASE WHEN d.kind <> 'found' THEN d.reason ELSE first.reason END
      FROM oaflow.documents d LEFT JOIN first USING (document)
     WHERE d.run = p_run
$$;
