-- Which triggers on procrastinate's table of jobs there are, of these, and whether they fire.
SELECT tgname::text, tgenabled <> 'D' FROM pg_trigger
 WHERE tgrelid = to_regclass('procrastinate_jobs') AND tgname = ANY (%(names)s::text[]) ORDER BY tgname
