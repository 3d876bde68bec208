-- A job of a service has ended, with everything that it handed over.
SELECT oaflow.end_v1(%(job)s, %(attempt)s, %(emitted)s::jsonb, %(error)s::jsonb)
