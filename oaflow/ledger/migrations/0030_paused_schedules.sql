-- A schedule can be kept from beginning runs for a while: since when it is.
ALTER TABLE oaflow.schedules ADD COLUMN paused_at timestamptz;
