-- Takes the queueing lock off a plain job that runs, so that another one with it can wait.
UPDATE procrastinate_jobs SET queueing_lock = NULL
 WHERE id = %(job)s AND worker_id = %(worker)s AND status::text = 'doing'
