-- A dataset is deleted: runs over it may start again.
DELETE FROM oaflow.deletions WHERE dataset = %(dataset)s
