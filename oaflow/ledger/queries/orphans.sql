-- Files that are to go, in order, so many behind one.
SELECT content_hash FROM oaflow.orphans WHERE content_hash > %(after)s ORDER BY content_hash LIMIT %(rows)s
