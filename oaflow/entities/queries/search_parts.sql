-- What is indexed as part of some documents.
SELECT DISTINCT document, entity FROM oaflow.passages WHERE dataset = %(dataset)s AND document = ANY (%(documents)s::text[])
