COPY oaflow.passages (at, dataset, entity, part, document, schema, name, page, words, text) FROM STDIN
