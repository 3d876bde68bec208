-- Writes down the ways of some files of a run, and marks those of which all that came has ended well.
SELECT oaflow.mark_done_v2(%(run)s, %(files)s::jsonb)
