-- Where some workers are or were.
SELECT id, host, pid FROM oaflow.worked WHERE id = ANY (%(ids)s)
