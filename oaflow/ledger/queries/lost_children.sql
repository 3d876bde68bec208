-- What was once found in some documents, and was not in this run.
SELECT oaflow.lost_children_v1(%(run)s, %(documents)s::text[])
