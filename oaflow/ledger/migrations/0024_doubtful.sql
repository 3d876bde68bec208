-- Whether something that was said of an entity was taken out since it last came to `index`: what brought it there may have been
-- just that. The end of a run asks of these, and of no others, who else has brought them. Workers of the old program name
-- the columns that they write, so theirs have the default.
ALTER TABLE oaflow.passages ADD COLUMN doubtful boolean NOT NULL DEFAULT false;
CREATE INDEX passages_doubtful ON oaflow.passages (dataset, entity) WHERE doubtful;
