-- The table of a dataset, as ftmq and followthemoney-store make it.
CREATE TABLE IF NOT EXISTS {table} (
    id        varchar NOT NULL,
    origin    varchar NOT NULL,
    fragment  varchar NOT NULL,
    timestamp timestamp without time zone,
    entity    jsonb,
    UNIQUE (id, origin, fragment)
)
