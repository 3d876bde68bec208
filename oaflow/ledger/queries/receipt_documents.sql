-- The documents of one line of the account.
SELECT document, name, kind, line, reason FROM oaflow.receipt_v2(%(run)s, %(index)s::text[])
 WHERE CASE WHEN %(line)s::text IS NULL THEN true
            WHEN %(line)s = 'open' THEN line IS NULL
            WHEN %(line)s = 'unreadable' THEN line = 'indexed' AND kind = 'unreadable'
            ELSE line = %(line)s END
 ORDER BY name, document LIMIT %(limit)s
