-- Which triggers on procrastinate's table of jobs there are, of these and of a foreign key, and whether they fire.
SELECT t.tgname::text, t.tgenabled <> 'D'
  FROM pg_trigger t LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
 WHERE t.tgrelid = to_regclass('procrastinate_jobs')
   AND (t.tgname = ANY (%(names)s::text[]) OR (t.tgisinternal AND k.conname = %(checked)s))
 ORDER BY 1
