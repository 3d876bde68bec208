-- All that comes of the end of a run is done.
UPDATE oaflow.runs SET settled = true, gone = %(gone)s, gone_names = %(names)s::text[] WHERE id = %(run)s
