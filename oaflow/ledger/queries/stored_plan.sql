-- A plan by its digest.
SELECT digest, format, pipeline, definition FROM oaflow.plans WHERE digest = %(digest)s
