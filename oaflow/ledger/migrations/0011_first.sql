-- How many jobs are taken of what each first job returns (`oaflow run --first N`); NULL: all.
ALTER TABLE oaflow.runs ADD COLUMN first bigint CHECK (first > 0);
