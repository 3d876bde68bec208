-- Whether a run of a dataset may start: not while the dataset is being deleted.
SELECT oaflow.admit_v1(%(dataset)s)
