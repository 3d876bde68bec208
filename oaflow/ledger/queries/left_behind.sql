-- What the runs of a dataset have left in oaflow's tables and in procrastinate's.
WITH run AS MATERIALIZED (SELECT id FROM oaflow.runs WHERE dataset = %(dataset)s)
SELECT (SELECT count(*) FROM run) AS runs, j.jobs, j.waiting, h.history, h.samples,
       (SELECT count(*) FROM oaflow.failures f JOIN run ON run.id = f.run) AS failures,
       (SELECT count(*) FROM oaflow.passages p WHERE p.dataset = %(dataset)s) AS passages
  FROM (SELECT count(*) AS jobs,
               count(*) FILTER (WHERE j.status = 'todo') + (SELECT count(*) FROM oaflow.collected w JOIN run ON run.id = w.run
                                                             WHERE w.job IS NULL) AS waiting
          FROM procrastinate_jobs j WHERE j.args #>> '{payload,context,oaflow,run}' IN (SELECT id FROM run)) j,
       (SELECT count(*) AS history, count(*) FILTER (WHERE h.detail ? 'returned') AS samples
          FROM oaflow.hops h JOIN run ON run.id = h.run) h
