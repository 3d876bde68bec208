-- Unmarks the files of a dataset, so that they stay.
DELETE FROM oaflow.orphans WHERE dataset = %(dataset)s
