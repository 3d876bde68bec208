-- Deletes (or, in a dry run, counts) jobs that ended at least a number of seconds ago, among a number of rows after an id.
SELECT last, pruned FROM oaflow.prune_v1(%(after)s, %(rows)s, now() - make_interval(secs => %(seconds)s), %(dry)s)
