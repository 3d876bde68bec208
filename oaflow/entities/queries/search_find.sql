-- Documents that have every term, in whichever of their rows; each with the row to show.
-- A term counts where it ranks best; the row to show has most terms, and is text rather than names.
WITH term AS (
    SELECT u.query::tsquery AS query, u.ord FROM unnest(%(terms)s::text[]) WITH ORDINALITY AS u (query, ord)
), found AS MATERIALIZED (
    -- 1: a row's length counts, logarithmically; without it the longest wins.
    SELECT p.document, p.entity, p.part, term.ord, ts_rank(p.words, term.query, 1) AS rank
      FROM term JOIN oaflow.passages p ON p.words @@ term.query
     WHERE p.dataset = %(dataset)s
), scored AS MATERIALIZED (
    SELECT b.document, sum(b.rank) AS score
      FROM (SELECT document, ord, max(rank) AS rank FROM found GROUP BY document, ord) b
     GROUP BY b.document
    HAVING count(*) = cardinality(%(terms)s::text[])
     ORDER BY score DESC, b.document LIMIT %(limit)s
), shown AS (
    SELECT DISTINCT ON (r.document) r.document, r.entity, r.part, scored.score
      FROM (SELECT document, entity, part, count(*) AS terms, sum(rank) AS rank FROM found GROUP BY 1, 2, 3) r
      JOIN scored USING (document)
      JOIN oaflow.passages p ON p.dataset = %(dataset)s AND p.entity = r.entity AND p.part = r.part
     ORDER BY r.document, r.terms DESC, (r.part = 0), (p.page IS NULL), r.rank DESC, p.page, r.entity, r.part
)
SELECT coalesce(owner.name, p.name, '') AS file, p.page, p.text, shown.document,
       coalesce(owner.schema, p.schema) AS schema, shown.score::float8 AS score,
       CASE WHEN shown.part = 0 THEN
           (SELECT t.text FROM oaflow.passages t
             WHERE t.dataset = %(dataset)s AND t.document = shown.document AND t.part > 0
             ORDER BY t.page, t.part LIMIT 1)
       END AS opening
  FROM shown
  JOIN oaflow.passages p ON p.dataset = %(dataset)s AND p.entity = shown.entity AND p.part = shown.part
  LEFT JOIN oaflow.passages owner ON owner.dataset = %(dataset)s AND owner.entity = shown.document AND owner.part = 0
 ORDER BY shown.score DESC, file, shown.document
