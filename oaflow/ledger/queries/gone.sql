-- What a complete crawl of its sources no longer found, by name.
SELECT document, name, is_folder FROM oaflow.gone_v1(%(run)s) ORDER BY name, document LIMIT %(rows)s
