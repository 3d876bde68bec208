-- The streams of a run that rest, as live workers say, and above how many open jobs in what follows them: the most that
-- one of these says, where their settings differ.
SELECT rest ->> 'stage' AS stage, max((rest ->> 'most')::int) AS most
  FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
 CROSS JOIN LATERAL jsonb_array_elements(o.rests) AS rest
 WHERE rest ->> 'run' = %(run)s AND w.last_heartbeat > now() - make_interval(secs => %(silent)s)
 GROUP BY 1 ORDER BY 1
