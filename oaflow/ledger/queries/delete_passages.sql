-- Takes a dataset out of the search, so many rows at a time.
DELETE FROM oaflow.passages p WHERE p.ctid = ANY (ARRAY(
    SELECT o.ctid FROM oaflow.passages o WHERE o.dataset = %(dataset)s LIMIT %(rows)s))
