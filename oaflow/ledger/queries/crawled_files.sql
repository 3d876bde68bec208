-- The files that crawls of a dataset have met, by their content; NULL: it is not known how large one is.
SELECT content_hash, max(size) FROM oaflow.crawled
 WHERE dataset = %(dataset)s AND content_hash IS NOT NULL GROUP BY content_hash
