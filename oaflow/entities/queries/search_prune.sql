-- Removes what no longer belongs to a document. Counts entities, not rows.
WITH gone AS (
    DELETE FROM oaflow.passages
     WHERE dataset = %(dataset)s AND document = %(document)s AND NOT (entity = ANY (%(keep)s::text[]))
    RETURNING entity
)
SELECT count(DISTINCT entity) FROM gone
