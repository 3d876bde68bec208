-- Says of entities that they are found whatever was taken out.
UPDATE oaflow.passages SET doubtful = false
 WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) AND doubtful
