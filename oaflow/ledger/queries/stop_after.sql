-- Records after how many failures a run is cancelled. If that was set at its start, its sources are known already.
UPDATE oaflow.runs SET stop_after = %(failures)s::bigint, stop_percent = %(percent)s::float8,
       sources = CASE WHEN sources = '{}' THEN %(sources)s::text[] ELSE sources END
 WHERE id = %(run)s
