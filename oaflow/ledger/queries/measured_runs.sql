-- How many runs of each pipeline are in which state.
SELECT pipeline, state, count(*) AS runs FROM oaflow.runs GROUP BY pipeline, state ORDER BY pipeline, state
