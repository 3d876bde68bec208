-- About how many entities each origin has written.
SELECT origin, count(DISTINCT id) FROM {table} GROUP BY origin
