-- Marks entities as no longer doubtful.
UPDATE oaflow.passages SET doubtful = false
 WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) AND doubtful
