-- What no edge took in a run, by stage, port and reason, most frequent first.
-- Counts entities, and jobs without any: the count of a loss is its fifth member.
SELECT h.stage, lost ->> 1 AS port, lost ->> 2 AS reason, sum((lost ->> 4)::bigint)::bigint AS count
  FROM oaflow.hops h CROSS JOIN LATERAL jsonb_array_elements(h.detail -> 'lost') AS lost
 WHERE h.run = %(run)s AND h.detail ? 'unmatched' AND lost ->> 0 = 'unmatched'
 GROUP BY 1, 2, 3 ORDER BY count DESC, 1, 2, 3
