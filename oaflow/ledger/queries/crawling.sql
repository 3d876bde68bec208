-- A run as its crawl sees it; `before`: whether anything was crawled for it by an earlier run. What an attempt of this
-- run that was cut off saw for the first time is nothing of that kind.
SELECT r.dataset, r.pipeline, r.force, r.first, r.stages, r.since,
       EXISTS (SELECT FROM oaflow.crawled c WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline
               AND (c.ran IS DISTINCT FROM r.id OR c.again)) AS before
  FROM oaflow.runs r WHERE r.id = %(run)s
