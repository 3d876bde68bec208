-- The names of some documents of a run.
SELECT document, name FROM oaflow.documents WHERE run = %(run)s AND document = ANY (%(ids)s)
