-- Which sources the crawls of a run have read to the end.
UPDATE oaflow.runs
   SET covered = ARRAY(SELECT DISTINCT s FROM unnest(covered || %(covered)s::bytea[]) AS s),
       shut = ARRAY(SELECT DISTINCT s FROM unnest(shut || %(shut)s::bytea[]) AS s)
 WHERE id = %(run)s
