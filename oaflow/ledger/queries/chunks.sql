-- The chunks of a stream that earlier attempts have handed over.
SELECT position, digest, size FROM oaflow.chunks WHERE job = %(job)s ORDER BY position
