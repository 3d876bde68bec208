-- A dataset's files are to stay.
DELETE FROM oaflow.orphans WHERE dataset = %(dataset)s
