-- Marks a run as settled, unless it was retried meanwhile.
UPDATE oaflow.runs SET settled = true, gone = %(gone)s, gone_names = %(names)s::text[] WHERE id = %(run)s AND round = %(round)s
