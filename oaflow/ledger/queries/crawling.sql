-- A run as its crawl sees it; `before`: whether anything was ever crawled for it.
SELECT r.dataset, r.pipeline, r.force, r.first, r.stages, r.since,
       EXISTS (SELECT FROM oaflow.crawled c WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline) AS before
  FROM oaflow.runs r WHERE r.id = %(run)s
