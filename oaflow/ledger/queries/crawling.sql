-- A run as its crawl sees it; `before`: whether an earlier run has crawled anything for it. What an interrupted attempt of
-- this run saw first does not count.
SELECT r.dataset, r.pipeline, r.force, r.first, r.stages, r.since,
       EXISTS (SELECT FROM oaflow.crawled c WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline
               AND (c.ran IS DISTINCT FROM r.id OR c.again)) AS before
  FROM oaflow.runs r WHERE r.id = %(run)s
