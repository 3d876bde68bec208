-- What is known about some files of a pipeline and dataset.
SELECT c.document, c.content_hash, c.ran, c.done, c.redo FROM oaflow.crawled c
 WHERE c.dataset = %(dataset)s AND c.pipeline = %(pipeline)s AND c.document = ANY (%(documents)s::text[])
