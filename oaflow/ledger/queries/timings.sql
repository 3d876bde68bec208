-- How long the attempts of a run took, by stage and media type.
SELECT stage, media, in_loop, attempts, jobs, members, seconds, squares, times, successors
  FROM oaflow.timings WHERE run = %(run)s ORDER BY stage, media
