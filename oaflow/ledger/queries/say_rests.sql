-- Records which streams rest in a worker.
UPDATE oaflow.workers SET rests = %(rests)s::jsonb WHERE id = %(worker)s
