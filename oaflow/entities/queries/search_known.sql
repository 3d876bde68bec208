-- Which of some entities can be found.
SELECT DISTINCT entity FROM oaflow.passages WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[])
