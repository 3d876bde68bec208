-- Removes entities and, for documents, what belongs to them. Counts entities, not rows.
WITH gone AS (
    DELETE FROM oaflow.passages
     WHERE dataset = %(dataset)s AND (entity = ANY (%(entities)s::text[]) OR document = ANY (%(entities)s::text[]))
    RETURNING entity
)
SELECT count(DISTINCT entity) FROM gone
