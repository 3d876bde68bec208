-- All that comes of the end of a run is done; not where what failed was sent again meanwhile.
UPDATE oaflow.runs SET settled = true, gone = %(gone)s, gone_names = %(names)s::text[] WHERE id = %(run)s AND round = %(round)s
