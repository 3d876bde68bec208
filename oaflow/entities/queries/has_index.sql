-- Whether a usable index of the table begins with (origin, fragment).
SELECT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = to_regclass(%(table)s)
      AND i.indisvalid AND i.indpred IS NULL
      AND (SELECT array_agg(a.attname::text ORDER BY k.position)
           FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, position)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
           WHERE k.position <= 2) = ARRAY['origin', 'fragment']
)
