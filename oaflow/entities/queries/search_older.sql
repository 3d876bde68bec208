-- Which of some entities came to be indexed before a time, and not since.
SELECT DISTINCT entity FROM oaflow.passages
 WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) AND at < %(begun)s
