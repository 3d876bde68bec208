-- Removes jobs that came back to runs after they were cancelled.
SELECT oaflow.cancel_rest_v1()
