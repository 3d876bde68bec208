-- Documents that another run has reported, and that run again; existing reports stay. Those of `anew` start from the
-- beginning: what could not be read may be readable now.
INSERT INTO oaflow.documents (run, document, name, kind, reason, parent, why)
SELECT %(run)s, d.document, d.name,
       CASE WHEN k.said THEN 'unreadable' ELSE 'found' END, CASE WHEN k.said THEN d.reason END, d.parent, %(why)s
  FROM oaflow.documents d CROSS JOIN LATERAL (
    SELECT d.reason IS NOT NULL AND NOT d.document = ANY (%(anew)s::text[]) AS said) k
 WHERE d.run = %(of)s AND d.document = ANY (%(documents)s::text[]) AND d.kind <> 'skipped'
ON CONFLICT DO NOTHING
