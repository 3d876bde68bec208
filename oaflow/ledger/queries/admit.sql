-- Whether a run of a dataset may begin: not while that is being deleted.
SELECT oaflow.admit_v1(%(dataset)s)
