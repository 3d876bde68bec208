-- Records what a crawl has seen.
SELECT oaflow.keep_crawled_v2(%(run)s, %(documents)s::text[], %(paths)s::bytea[], %(names)s::text[], %(hashes)s::text[],
                              %(sizes)s::bigint[], %(unchanged)s::boolean[], %(code)s::text[])
