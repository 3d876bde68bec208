-- Removes capture, and leaves procrastinate's table as it was.
DROP TRIGGER IF EXISTS oaflow_capture_new ON procrastinate_jobs;
DROP TRIGGER IF EXISTS oaflow_capture_end ON procrastinate_jobs;
DROP TRIGGER IF EXISTS oaflow_capture_gone ON procrastinate_jobs;
DROP FUNCTION IF EXISTS oaflow.capture_new_v1(), oaflow.capture_end_v1(), oaflow.capture_gone_v1();
