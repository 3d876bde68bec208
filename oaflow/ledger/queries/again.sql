-- Why documents of a run ran again, or for the first time, if others were known before.
SELECT why, count(*) FROM oaflow.documents WHERE run = %(run)s AND why IS NOT NULL GROUP BY why ORDER BY count(*) DESC, why
