-- The documents that crawls have found with this content. One that failed early is in no other table with its hash.
SELECT DISTINCT document FROM oaflow.crawled
 WHERE content_hash = %(hash)s AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
 ORDER BY document LIMIT %(limit)s
