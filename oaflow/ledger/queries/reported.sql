-- What a run has reported about some files and their contents, except for what it left unchanged.
WITH RECURSIVE below (document, kind) AS (
    SELECT d.document, d.kind FROM oaflow.documents d WHERE d.run = %(run)s AND d.document = ANY (%(documents)s::text[])
    UNION
    SELECT d.document, d.kind FROM below JOIN oaflow.documents d ON d.run = %(run)s AND d.parent = below.document
)
SELECT document FROM below WHERE kind <> 'unchanged'
