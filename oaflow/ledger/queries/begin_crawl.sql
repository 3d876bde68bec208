-- When the crawl of a run started. The first attempt counts.
UPDATE oaflow.runs SET since = coalesce(since, %(since)s) WHERE id = %(run)s
