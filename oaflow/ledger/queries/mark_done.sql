-- Marks the files of a run of which all that came has ended well.
SELECT oaflow.mark_done_v1(%(run)s)
