-- The documents that crawls have met with these bytes. One that failed early stands in no other table with its hash.
SELECT DISTINCT document FROM oaflow.crawled
 WHERE content_hash = %(hash)s AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
 ORDER BY document LIMIT %(limit)s
