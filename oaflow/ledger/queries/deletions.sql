-- Datasets whose deletion has begun and not ended, and those of which files are left in the archive.
SELECT dataset FROM oaflow.deletions UNION SELECT dataset FROM oaflow.orphans ORDER BY 1
