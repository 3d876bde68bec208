-- Marks files for removal, if they are not in use.
INSERT INTO oaflow.orphans (content_hash, dataset) SELECT u.hash, %(dataset)s FROM unnest(%(hashes)s::text[]) AS u (hash)
ON CONFLICT DO NOTHING
