-- Jobs of each stage of each pipeline, over all of its runs. `running` jobs are held by a worker, and are read from the
-- index of rows with a worker, so waiting jobs are not read. The counters are those that `status` shows for each run.
SELECT c.pipeline, c.stage, c.open, least(coalesce(d.running, 0), greatest(c.open, 0)) AS running, c.done, c.failed,
       c.diverted, c.vanished, c.unmatched, c.dropped, c.ended
  FROM (SELECT r.pipeline, k.stage, sum(k.open)::bigint AS open, sum(k.done)::bigint AS done,
               sum(k.failed)::bigint AS failed, sum(k.diverted)::bigint AS diverted, sum(k.vanished)::bigint AS vanished,
               sum(k.unmatched)::bigint AS unmatched, sum(k.dropped)::bigint AS dropped, sum(k.ended)::bigint AS ended
          FROM oaflow.counters k JOIN oaflow.runs r ON r.id = k.run
         GROUP BY r.pipeline, k.stage) c
  LEFT JOIN (SELECT r.pipeline, j.args #>> '{payload,context,oaflow,stage}' AS stage, count(*) AS running
               FROM procrastinate_jobs j JOIN oaflow.runs r ON r.id = j.args #>> '{payload,context,oaflow,run}'
              WHERE j.status = 'doing' AND j.worker_id IS NOT NULL
              GROUP BY 1, 2) d ON d.pipeline = c.pipeline AND d.stage = c.stage
 ORDER BY c.pipeline, c.stage
