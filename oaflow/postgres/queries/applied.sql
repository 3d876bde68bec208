-- What was applied, in order.
SELECT component, name, digest FROM oaflow.migrations ORDER BY component, name
