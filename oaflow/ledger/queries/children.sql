-- What a run has found in some documents, and in what it found there, but for what was left as it was.
WITH RECURSIVE below (document, kind) AS (
    SELECT d.document, d.kind FROM oaflow.documents d WHERE d.run = %(run)s AND d.parent = ANY (%(documents)s::text[])
    UNION
    SELECT d.document, d.kind FROM below JOIN oaflow.documents d ON d.run = %(run)s AND d.parent = below.document
)
SELECT document FROM below WHERE kind <> 'unchanged'
