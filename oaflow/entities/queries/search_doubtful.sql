-- The next entities after a given one of which something was removed since they were indexed.
SELECT DISTINCT entity FROM oaflow.passages
 WHERE dataset = %(dataset)s AND doubtful AND entity > %(after)s ORDER BY entity LIMIT %(limit)s
