-- Datasets whose deletion has started but not ended, and those with files left in the archive.
SELECT dataset FROM oaflow.deletions UNION SELECT dataset FROM oaflow.orphans ORDER BY 1
