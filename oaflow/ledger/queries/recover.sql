-- Takes back the jobs of workers whose end was seen, and of those that have been silent.
SELECT count(*)::int FROM oaflow.recover_v1(make_interval(secs => %(silent)s), %(dead)s::bigint[])
