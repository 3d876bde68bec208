-- The files that crawls of a dataset have found, by content; NULL if the size is unknown.
SELECT content_hash, max(size) FROM oaflow.crawled
 WHERE dataset = %(dataset)s AND content_hash IS NOT NULL GROUP BY content_hash
