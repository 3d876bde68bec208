-- The content hashes of the files that crawls of a dataset have met.
SELECT DISTINCT content_hash FROM oaflow.crawled WHERE dataset = %(dataset)s AND content_hash IS NOT NULL
