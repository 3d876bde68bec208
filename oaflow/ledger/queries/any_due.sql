-- Whether there is something for a supervisor to do: a tick of a schedule has passed, or a delivery is due.
SELECT EXISTS (SELECT 1 FROM oaflow.schedules WHERE due_at <= now() AND paused_at IS NULL)
    OR EXISTS (SELECT 1 FROM oaflow.deliveries WHERE next_at <= now()) AS due
