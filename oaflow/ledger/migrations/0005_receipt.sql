-- The account of a run's documents.

-- Each document of a run once, at the first line that holds of it; line NULL: none does (yet).
-- p_index names the stages after which a document counts as indexed. A diverted one counts as indexed when a job that
-- came of the diverted one ended there.
-- Sets only, no loop over documents: a run of a million takes seconds.
CREATE FUNCTION oaflow.receipt_v1(p_run text, p_index text[])
RETURNS TABLE (document text, name text, kind text, line text, reason text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE hop AS MATERIALIZED (
        SELECT h.job, h.stage, h.outcome, h.documents, h.successors, h.detail FROM oaflow.hops h WHERE h.run = p_run
    ), handed AS MATERIALIZED (
        SELECT DISTINCT hop.job, d.document
          FROM hop CROSS JOIN LATERAL jsonb_path_query(hop.detail, '$.handed[*][1][*]') AS v
         CROSS JOIN LATERAL (SELECT v #>> '{}' AS document) d
    ), lost AS MATERIALIZED (
        SELECT hop.job, l ->> 0 AS kind, d #>> '{}' AS document, l ->> 2 AS reason
          FROM hop CROSS JOIN LATERAL jsonb_array_elements(hop.detail -> 'lost') AS l
         CROSS JOIN LATERAL jsonb_path_query(l, '$[3][*]') AS d
         WHERE hop.detail ? 'lost'
    ), worked AS MATERIALIZED (
        SELECT hop.job, hop.stage, hop.outcome, d.document
          FROM hop CROSS JOIN LATERAL unnest(hop.documents) AS d (document)
         WHERE hop.outcome IN ('done', 'diverted', 'vanished')
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
        SELECT w.document, 6, 'ended', w.stage || ' returned nothing for it' FROM worked w
         WHERE w.outcome = 'done' AND NOT (w.stage = ANY (p_index))
           AND NOT EXISTS (SELECT 1 FROM handed h WHERE h.job = w.job AND h.document = w.document)
           AND NOT EXISTS (SELECT 1 FROM lost l WHERE l.job = w.job AND l.document = w.document)
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
