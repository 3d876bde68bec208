-- Where the modules of a run's stages lie beside what is installed, on the machine that it was started on: absolute paths,
-- in the order in which they are looked in. So `resume` and `retry` find them whatever folder they are typed in.
ALTER TABLE oaflow.runs ADD COLUMN folders text[] NOT NULL DEFAULT '{}';

-- Where the expressions of each stage are written, as FILE:LINE:COLUMN, for what is said when one fails. Beside the plan,
-- which is the same wherever it is written.
ALTER TABLE oaflow.runs ADD COLUMN places jsonb NOT NULL DEFAULT '{}';
