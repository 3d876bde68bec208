-- Entities that came to be indexed before a time or by what was taken out since, and have not come again.
DELETE FROM oaflow.passages
 WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) AND (at < %(begun)s OR doubtful)
