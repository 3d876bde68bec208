-- When the crawl of a run began. The first attempt at it counts.
UPDATE oaflow.runs SET since = coalesce(since, %(since)s) WHERE id = %(run)s
