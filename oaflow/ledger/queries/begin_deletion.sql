-- The open run that keeps a dataset from being deleted; none: it is being deleted from now on.
SELECT oaflow.begin_deletion_v1(%(dataset)s)
