-- Files that exist but could not be read: what is known about them stays.
UPDATE oaflow.crawled c SET seen = r.id FROM oaflow.runs r
 WHERE r.id = %(run)s AND c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = ANY (%(documents)s::text[])
