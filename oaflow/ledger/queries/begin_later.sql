-- Starts files of a run at later stages.
SELECT oaflow.begin_later_v1(%(run)s, %(files)s::jsonb, %(jobs)s::jsonb)
