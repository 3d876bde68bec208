-- Which of some entities were last indexed before a time.
SELECT DISTINCT entity FROM oaflow.passages
 WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) AND at < %(begun)s
