-- Unmarks files that were removed, or should stay.
DELETE FROM oaflow.orphans WHERE content_hash = ANY (%(hashes)s::text[])
