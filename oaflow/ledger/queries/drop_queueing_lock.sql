-- Removes the queueing lock from a running plain job, so that another job with it can wait.
UPDATE procrastinate_jobs SET queueing_lock = NULL
 WHERE id = %(job)s AND worker_id = %(worker)s AND status::text = 'doing'
