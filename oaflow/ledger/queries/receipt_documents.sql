-- The documents of one line of the receipt.
SELECT r.document, r.name, r.kind, r.line, r.reason, d.why
  FROM oaflow.receipt_v2(%(run)s, %(index)s::text[]) r
  JOIN oaflow.documents d ON d.run = %(run)s AND d.document = r.document
 WHERE CASE WHEN %(line)s::text IS NULL THEN true
            WHEN %(line)s = 'open' THEN r.line IS NULL
            WHEN %(line)s = 'unreadable' THEN r.line = 'indexed' AND r.kind = 'unreadable'
            ELSE r.line = %(line)s END
 ORDER BY r.name, r.document LIMIT %(limit)s
