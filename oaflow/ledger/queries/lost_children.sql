-- What was once found in some documents, but not in this run.
SELECT oaflow.lost_children_v1(%(run)s, %(documents)s::text[])
