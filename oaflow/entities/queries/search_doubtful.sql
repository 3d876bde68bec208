-- The next entities after one of which something was taken out since they came to be indexed.
SELECT DISTINCT entity FROM oaflow.passages
 WHERE dataset = %(dataset)s AND doubtful AND entity > %(after)s ORDER BY entity LIMIT %(limit)s
