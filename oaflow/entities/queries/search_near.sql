-- Words with a given beginning, the most frequent first. From some rows only: this is help, not an answer.
SELECT u.lexeme
  FROM (SELECT words FROM oaflow.passages
         WHERE dataset = %(dataset)s AND words @@ %(beginning)s::tsquery LIMIT 200) p
 CROSS JOIN LATERAL unnest(p.words) AS u
 WHERE u.lexeme LIKE %(pattern)s
 GROUP BY u.lexeme ORDER BY count(*) DESC, u.lexeme LIMIT 2000
