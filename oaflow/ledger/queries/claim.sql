-- Claims jobs of (queue, task, run) triples, with their charges.
SELECT id, queue, task, priority, args::text, coalesce(args #>> '{payload,context,oaflow}', '{}'),
       attempts, retries, crashes, suspect, NULL
  FROM oaflow.fetch_v3(%(worker)s, %(queues)s::text[], %(tasks)s::text[], %(runs)s::text[], %(most)s)
