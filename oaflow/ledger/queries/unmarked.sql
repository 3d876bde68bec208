-- The files of a run that are not marked as done, each with the jobs that it was emitted with.
SELECT jsonb_build_object('document', document, 'entered', entered)::text FROM oaflow.unmarked_v1(%(run)s)
