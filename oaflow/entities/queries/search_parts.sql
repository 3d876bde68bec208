-- What is indexed as part of a document.
SELECT DISTINCT entity FROM oaflow.passages WHERE dataset = %(dataset)s AND document = %(document)s
