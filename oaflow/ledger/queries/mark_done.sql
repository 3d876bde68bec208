-- Records the paths of some files of a run, and marks the files whose jobs have all succeeded.
SELECT oaflow.mark_done_v2(%(run)s, %(files)s::jsonb)
