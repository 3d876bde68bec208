-- Takes back the jobs of workers whose end was seen, and of those that have been silent. Others are told, so that what came
-- back, and the places of what has a limit, wait for nobody to look.
SELECT count(*)::int,
       CASE WHEN count(*) > 0 THEN pg_notify('oaflow', json_build_object('event', 'jobs.recovered')::text) END
  FROM oaflow.recover_v1(make_interval(secs => %(silent)s), %(dead)s::bigint[])
