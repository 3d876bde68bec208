-- A job of a service has come to its end, with all that it handed over.
SELECT oaflow.end_v1(%(job)s, %(attempt)s, %(emitted)s::jsonb, %(error)s::jsonb)
