-- Says after how much a run is given up. What its sources are is known from its beginning, where it was said then.
UPDATE oaflow.runs SET stop_after = %(failures)s::bigint, stop_percent = %(percent)s::float8,
       sources = CASE WHEN sources = '{}' THEN %(sources)s::text[] ELSE sources END
 WHERE id = %(run)s
