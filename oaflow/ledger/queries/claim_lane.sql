-- Claims jobs of one lane: a task that has a limit or locks. The last row says when to claim again.
SELECT id, queue, task, priority, args::text, coalesce(args #>> '{payload,context,oaflow}', '{}'),
       attempts, retries, crashes, suspect, lock, again
  FROM oaflow.fetch_lane_v1(
    %(worker)s, %(queue)s, %(task)s, %(runs)s::text[], %(most)s, %(late)s, %(look)s, %(after)s)
