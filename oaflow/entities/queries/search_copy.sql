COPY oaflow.passages (dataset, entity, part, document, schema, name, page, words, text) FROM STDIN
