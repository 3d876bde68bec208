-- A page of the history of a run: first the lines of the run itself, then those of each job, oldest first. A number of
-- lines is read from a place on, and the matching ones are returned, with the place of the last line that was read, which
-- comes alone if none matches. The place also distinguishes lines of one transaction: lines never change, so the position
-- of a line in its table identifies it.
WITH read AS (
    (SELECT h.*, h.tableoid::bigint AS part, h.ctid AS place FROM oaflow.hops h
      WHERE %(whole)s AND h.run = %(run)s AND h.job IS NULL
        AND (h.at, h.tableoid::bigint, h.ctid) > (%(at)s::timestamptz, %(part)s::bigint, %(place)s::tid)
      ORDER BY h.at, h.tableoid::bigint, h.ctid LIMIT %(lines)s)
    UNION ALL
    (SELECT h.*, h.tableoid::bigint AS part, h.ctid AS place FROM oaflow.hops h
      WHERE h.run = %(run)s AND h.job BETWEEN %(low)s::bigint AND %(high)s::bigint
        AND (h.job, h.at, h.tableoid::bigint, h.ctid)
            > (%(low)s::bigint, %(at)s::timestamptz, %(part)s::bigint, %(place)s::tid)
      ORDER BY h.job, h.at, h.tableoid::bigint, h.ctid LIMIT %(lines)s)
    ORDER BY job NULLS FIRST, at, part, place LIMIT %(lines)s
), last AS (
    SELECT job, at, part, place, (SELECT count(*) FROM read) AS lines FROM read
     ORDER BY job DESC NULLS LAST, at DESC, part DESC, place DESC LIMIT 1
)
SELECT l.lines, l.job AS last_job, l.at AS last_at, l.part AS last_part, l.place::text AS last_place,
       r.at, r.stage, r.job, r.parent, r.attempt, r.outcome, r.started, r.ended, r.worker, r.version, r.documents,
       r.successors, r.detail, r.part, r.place::text AS place
  FROM last l
  LEFT JOIN read r ON (%(stage)s::text IS NULL OR r.stage = %(stage)s)
                  AND (%(outcome)s::text IS NULL OR r.outcome = %(outcome)s)
                  AND (%(document)s::text IS NULL OR %(document)s = ANY (r.documents))
 ORDER BY r.job NULLS FIRST, r.at, r.part, r.place
