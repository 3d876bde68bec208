-- Continues runs that were paused for a reason with this prefix.
UPDATE oaflow.runs SET state = 'running', reason = NULL WHERE state = 'paused' AND starts_with(reason, %(reason)s)
