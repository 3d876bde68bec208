-- Notes that a file was applied.
INSERT INTO oaflow.migrations (component, name, digest, program)
VALUES (%(component)s, %(name)s, %(digest)s, %(program)s)
