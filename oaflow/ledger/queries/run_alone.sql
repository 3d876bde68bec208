-- Records that a suspect runs alone: if its worker dies now, this job was the cause.
INSERT INTO oaflow.charges (job, suspect, alone)
SELECT id, true, attempts FROM procrastinate_jobs
 WHERE id = %(job)s AND worker_id = %(worker)s AND attempts = %(attempt)s AND status::text = 'doing'
    ON CONFLICT (job) DO UPDATE SET alone = excluded.alone
