-- Files that are gone, or are to stay.
DELETE FROM oaflow.orphans WHERE content_hash = ANY (%(hashes)s::text[])
