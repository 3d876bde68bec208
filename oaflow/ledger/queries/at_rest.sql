-- The resting streams of a run, as reported by live workers, and their limit of open jobs: the largest, if settings
-- differ between workers.
SELECT rest ->> 'stage' AS stage, max((rest ->> 'most')::int) AS most
  FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
 CROSS JOIN LATERAL jsonb_array_elements(o.rests) AS rest
 WHERE rest ->> 'run' = %(run)s AND w.last_heartbeat > now() - make_interval(secs => %(silent)s)
 GROUP BY 1 ORDER BY 1
