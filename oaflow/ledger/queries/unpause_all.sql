-- Lets runs go on that were paused for a reason that begins so.
UPDATE oaflow.runs SET state = 'running', reason = NULL WHERE state = 'paused' AND starts_with(reason, %(reason)s)
