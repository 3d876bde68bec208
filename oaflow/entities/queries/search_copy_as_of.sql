COPY oaflow.passages (at, doubtful, dataset, entity, part, document, schema, name, page, words, text) FROM STDIN
