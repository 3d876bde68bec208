-- The files marked for removal, in order, a number of them after a given one.
SELECT content_hash FROM oaflow.orphans WHERE content_hash > %(after)s ORDER BY content_hash LIMIT %(rows)s
