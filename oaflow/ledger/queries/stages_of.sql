-- What decided in some runs what became of a document, stage by stage.
SELECT id, stages FROM oaflow.runs WHERE id = ANY (%(runs)s::text[])
