-- Takes ids for jobs that are inserted later.
SELECT nextval('procrastinate_jobs_id_seq') FROM generate_series(1, %(count)s)
