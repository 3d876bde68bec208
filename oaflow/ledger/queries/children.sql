-- What a run has found in some documents, and in what it found there.
WITH RECURSIVE below (document) AS (
    SELECT d.document FROM oaflow.documents d WHERE d.run = %(run)s AND d.parent = ANY (%(documents)s::text[])
    UNION
    SELECT d.document FROM below JOIN oaflow.documents d ON d.run = %(run)s AND d.parent = below.document
)
SELECT document FROM below
