-- Takes out (or, dry, counts) jobs that ended so many seconds ago, among the next so many behind an id.
SELECT last, pruned FROM oaflow.prune_v1(%(after)s, %(rows)s, now() - make_interval(secs => %(seconds)s), %(dry)s)
