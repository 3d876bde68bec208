-- Takes out what else is known of a run, a portion at a time; answers whether there may be more.
SELECT oaflow.delete_rest_v1(%(dataset)s, %(run)s, %(rows)s)
