-- For some runs, a digest per stage of everything that affects a document there.
SELECT id, stages FROM oaflow.runs WHERE id = ANY (%(runs)s::text[])
