-- The open run that prevents a dataset from being deleted; if there is none, the deletion has started.
SELECT oaflow.begin_deletion_v1(%(dataset)s)
