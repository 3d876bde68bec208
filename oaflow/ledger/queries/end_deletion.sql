-- A dataset is deleted: its runs may begin again.
DELETE FROM oaflow.deletions WHERE dataset = %(dataset)s
