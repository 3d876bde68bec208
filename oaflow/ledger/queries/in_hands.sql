-- How many jobs of a dataset's runs live workers hold: those of a cancelled run continue for a while.
SELECT count(*)
  FROM procrastinate_jobs j JOIN procrastinate_workers w ON w.id = j.worker_id
  JOIN oaflow.runs r ON r.id = j.args #>> '{payload,context,oaflow,run}'
 WHERE j.status = 'doing' AND r.dataset = %(dataset)s AND w.last_heartbeat > now() - make_interval(secs => %(silent)s)
