-- The stage of a job, and the documents that it was about.
SELECT h.stage, coalesce(h.documents, '{}') AS documents FROM oaflow.hops h
 WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s AND h.job = %(job)s AND h.stage IS NOT NULL LIMIT 1
