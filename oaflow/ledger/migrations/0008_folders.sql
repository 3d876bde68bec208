-- Where the modules of a run's stages lie beside what is installed, on the machine that it was started on: absolute paths,
-- in the order in which they are looked in. So `resume` and `retry` find them whatever folder they are typed in.
ALTER TABLE oaflow.runs ADD COLUMN folders text[] NOT NULL DEFAULT '{}';
