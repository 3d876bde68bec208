-- Removes a dataset from the search index, a number of rows at a time.
DELETE FROM oaflow.passages p WHERE p.ctid = ANY (ARRAY(
    SELECT o.ctid FROM oaflow.passages o WHERE o.dataset = %(dataset)s LIMIT %(rows)s))
