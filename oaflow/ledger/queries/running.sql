-- Running jobs of a run, and since when: the last claim, which procrastinate records; if its events were deleted, its own
-- last hop (an earlier attempt), otherwise its parent's, otherwise the start of the run. So an upper bound.
SELECT j.id AS job, j.args #>> '{payload,context,oaflow,stage}' AS stage, j.worker_id AS worker,
       extract(epoch FROM clock_timestamp() - coalesce(
           (SELECT max(e.at) FROM procrastinate_events e WHERE e.job_id = j.id AND e.type = 'started'),
           (SELECT max(h.at) FROM oaflow.hops h WHERE h.run = %(run)s AND h.job = j.id),
           (SELECT max(h.at) FROM oaflow.hops h WHERE h.run = %(run)s
               AND h.job = CASE WHEN jsonb_typeof(j.args #> '{payload,context,oaflow,parent}') = 'number'
                                THEN (j.args #> '{payload,context,oaflow,parent}')::bigint END),
           r.created_at))::float8 AS seconds,
       ARRAY(SELECT d.name
               FROM jsonb_array_elements(CASE WHEN jsonb_typeof(j.args #> '{payload,entities}') = 'array'
                                              THEN j.args #> '{payload,entities}' ELSE '[]' END) e
               JOIN oaflow.documents d ON d.run = %(run)s AND d.document = e ->> 'id' LIMIT 3) AS names
  FROM procrastinate_jobs j LEFT JOIN oaflow.runs r ON r.id = %(run)s
 WHERE j.status = 'doing' AND j.worker_id IS NOT NULL AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
 ORDER BY seconds DESC NULLS LAST LIMIT %(limit)s
