-- Takes out a worker that has let go of its jobs.
SELECT oaflow.unregister_v1(%(id)s)
