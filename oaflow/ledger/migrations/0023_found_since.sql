-- When an entity last came to `index`: what came there before a run that did its document again, and not in it, is not to be
-- found any more. Rows from before this migration count as of now: a run that goes on may have written them.
-- Workers of the old program name the columns that they write, so theirs have the default.
ALTER TABLE oaflow.passages ADD COLUMN at timestamptz NOT NULL DEFAULT now();
