-- What some documents of a run are called.
SELECT document, name FROM oaflow.documents WHERE run = %(run)s AND document = ANY (%(ids)s)
