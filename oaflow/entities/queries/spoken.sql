-- About how many entities each origin says something.
SELECT origin, count(DISTINCT id) FROM {table} GROUP BY origin
