-- The time that fragments are written with.
SELECT clock_timestamp() AT TIME ZONE 'UTC'
