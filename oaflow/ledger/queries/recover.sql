-- Recovers the jobs of workers whose end was seen, and of silent workers. Other workers are notified, so that recovered
-- jobs and free places of limits need not wait for a poll.
SELECT count(*)::int,
       CASE WHEN count(*) > 0 THEN pg_notify('oaflow', json_build_object('event', 'jobs.recovered')::text) END
  FROM oaflow.recover_v1(make_interval(secs => %(silent)s), %(dead)s::bigint[])
