-- The hand-over: ends attempts, inserts what they returned, counts it and writes history. Returns rows only for the few
-- that were not applied.
SELECT job, answer FROM oaflow.complete_v1(
    %(worker)s, %(shard)s::smallint, %(ids)s::bigint[], %(attempts)s::int[], %(outcomes)s::text[], %(runs)s::text[],
    %(stages)s::text[], %(parents)s::bigint[], %(started)s::float8[], %(ended)s::float8[], %(delays)s::float8[],
    %(positions)s::int[], %(digests)s::text[], %(versions)s::text[], %(details)s::jsonb,
    %(next_ids)s::bigint[], %(next_parents)s::bigint[], %(next_queues)s::text[], %(next_tasks)s::text[],
    %(next_stages)s::text[], %(next_priorities)s::int[], %(next_collects)s::text[],
    %(next_locks)s::text[], %(next_args)s::jsonb)
 WHERE answer <> 'applied'
