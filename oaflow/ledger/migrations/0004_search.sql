-- What search reads: the words of each entity, beside the text that they came from.

-- `part` 0 holds an entity's names (weight A) and short properties, and for a document its file name, which all hits
-- in its pages show; parts from 1 hold its text, in order. `document` is the file that a row belongs to: a page names
-- its document, everything else itself, so that a file is found when its pages have all the words between them.
-- `words` is built in Python (oaflow/entities/words.py), where it is folded as queries are: no configuration takes part.
CREATE TABLE oaflow.passages (
    dataset  text NOT NULL,
    entity   text NOT NULL,
    part     integer NOT NULL,
    document text NOT NULL,
    schema   text NOT NULL,
    name     text,
    page     integer,
    words    tsvector NOT NULL,
    text     text NOT NULL,
    PRIMARY KEY (dataset, entity, part)
);
CREATE INDEX passages_words ON oaflow.passages USING gin (words);
CREATE INDEX passages_document ON oaflow.passages (dataset, document);
