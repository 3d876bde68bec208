-- Entities that came to be indexed before a time, and not since.
DELETE FROM oaflow.passages WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) AND at < %(begun)s
