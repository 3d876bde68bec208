-- What a whole crawl of its sources did not see any more, by name.
SELECT document, name, is_folder FROM oaflow.gone_v1(%(run)s) ORDER BY name, document LIMIT %(rows)s
