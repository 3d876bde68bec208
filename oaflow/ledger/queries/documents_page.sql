-- A page of the documents of a run, by their ids. `edge` is where the next page starts; it comes with each row, or alone
-- if none of the rows that were read is of the kind.
WITH read AS (
    SELECT d.document, d.name, d.kind, d.reason, d.why FROM oaflow.documents d
     WHERE d.run = %(run)s AND d.document > %(from)s ORDER BY d.document LIMIT %(lines)s
), page AS (
    SELECT * FROM read WHERE %(kind)s::text IS NULL OR kind = %(kind)s ORDER BY document LIMIT %(limit)s
), edge AS (
    SELECT CASE WHEN (SELECT count(*) FROM page) = %(limit)s THEN (SELECT max(document) FROM page)
                WHEN (SELECT count(*) FROM read) = %(lines)s THEN (SELECT max(document) FROM read) END AS document
)
SELECT edge.document AS edge, p.* FROM edge LEFT JOIN page p ON true ORDER BY p.document
