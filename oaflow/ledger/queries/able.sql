-- Live workers that take jobs of any run, and what each has reported about tasks.
SELECT o.id, o.host, o.formats, o.takes, o.lacks
  FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
 WHERE o.run IS NULL AND w.last_heartbeat > now() - make_interval(secs => %(silent)s)
 ORDER BY o.id
