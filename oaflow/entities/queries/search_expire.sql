-- Removes entities that were last indexed before a time, or because of something that was removed since.
DELETE FROM oaflow.passages
 WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) AND (at < %(begun)s OR doubtful)
