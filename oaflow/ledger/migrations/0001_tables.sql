-- oaflow's own tables. Nothing of procrastinate is altered, and none of its columns is needed beyond its own schema.

CREATE SCHEMA IF NOT EXISTS oaflow;

-- Plans are immutable and stored once, named by the digest of their canonical form.
CREATE TABLE oaflow.plans (
    digest     text PRIMARY KEY,
    format     integer NOT NULL,
    pipeline   text NOT NULL,
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One passage of work through a plan. `sealed` says that its source will insert no more first jobs;
-- `round` rises with every retry of what failed.
CREATE TABLE oaflow.runs (
    id          text PRIMARY KEY,
    pipeline    text NOT NULL,
    plan        text NOT NULL REFERENCES oaflow.plans (digest),
    dataset     text NOT NULL,
    params      jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'running'
                CHECK (state IN ('running', 'paused', 'interrupted', 'finished', 'incomplete', 'cancelled')),
    reason      text,
    round       integer NOT NULL DEFAULT 1,
    sealed      boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX runs_open ON oaflow.runs (id) WHERE state IN ('running', 'paused', 'interrupted');
CREATE INDEX runs_of_dataset ON oaflow.runs (dataset, pipeline, created_at DESC);
CREATE INDEX runs_by_time ON oaflow.runs (created_at DESC, id DESC);

-- The joins of a run: what each waits for, the job that it gets, and the last round in which it fired. A join fires
-- when nothing is open in `waits`, once in each round.
CREATE TABLE oaflow.joins (
    run      text NOT NULL,
    stage    text NOT NULL,
    waits    text[] NOT NULL,
    queue    text NOT NULL,
    task     text NOT NULL,
    priority integer NOT NULL,
    args     jsonb NOT NULL,
    fired    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (run, stage)
);

-- The stages of a run that collect: how many entities a job of theirs holds, for how many seconds the first of them may
-- wait for others, and `feeders`, in which nothing is open when nothing more can come.
CREATE TABLE oaflow.collects (
    run      text NOT NULL,
    stage    text NOT NULL,
    size     integer NOT NULL,
    wait     double precision NOT NULL,
    feeders  text[] NOT NULL,
    queue    text NOT NULL,
    task     text NOT NULL,
    priority integer NOT NULL,
    PRIMARY KEY (run, stage)
);

-- Jobs that wait to be put together with others of the same key; once they are, `job` is the one that holds them. Until
-- that one has ended they stay here, so that it can be taken apart.
CREATE TABLE oaflow.collected (
    id        bigint PRIMARY KEY,
    run       text NOT NULL,
    stage     text NOT NULL,
    key       text NOT NULL,
    entities  integer NOT NULL,
    documents jsonb NOT NULL,
    args      jsonb NOT NULL,
    arrived   timestamptz NOT NULL DEFAULT now(),
    job       bigint
);
CREATE INDEX collected_waiting ON oaflow.collected (run, stage, key, id) WHERE job IS NULL;
CREATE INDEX collected_by_job ON oaflow.collected (job) WHERE job IS NOT NULL;

-- Jobs per stage. Sharded, so that no row is hot; a reader sums the shards.
CREATE TABLE oaflow.counters (
    run       text NOT NULL,
    stage     text NOT NULL,
    shard     smallint NOT NULL,
    open      bigint NOT NULL DEFAULT 0,
    done      bigint NOT NULL DEFAULT 0,
    failed    bigint NOT NULL DEFAULT 0,
    unmatched bigint NOT NULL DEFAULT 0,
    dropped   bigint NOT NULL DEFAULT 0,
    ended     bigint NOT NULL DEFAULT 0,
    diverted  bigint NOT NULL DEFAULT 0,
    vanished  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run, stage, shard)
) WITH (fillfactor = 50);

-- What happened to each attempt, append only. `successors` holds the ids of the jobs handed over, in the order of
-- `detail.handed`, which names for each its stage and documents: so a job that somebody deleted is found by name.
-- outcome: root, joined, collected, answered, done, chunk, retried, crashed, failed, diverted, parted, cancelled, vanished,
-- orphaned, reopened.
CREATE TABLE oaflow.hops (
    at         timestamptz NOT NULL DEFAULT now(),
    run        text NOT NULL,
    stage      text,
    job        bigint,
    parent     bigint,
    attempt    integer,
    outcome    text NOT NULL,
    started    timestamptz,
    ended      timestamptz,
    worker     bigint,
    version    text,
    documents  text[],
    successors bigint[],
    detail     jsonb
) PARTITION BY RANGE (at);
CREATE TABLE oaflow.hops_default PARTITION OF oaflow.hops DEFAULT;
CREATE INDEX hops_job ON oaflow.hops (run, job);

-- Jobs that used up their attempts, kept with what is needed to run them again.
CREATE TABLE oaflow.failures (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run         text NOT NULL,
    stage       text NOT NULL,
    job         bigint NOT NULL,
    round       integer NOT NULL DEFAULT 1,
    queue       text,
    task        text,
    priority    integer,
    args        jsonb,
    documents   text[],
    type        text,
    message     text,
    traceback   text,
    fingerprint text,
    detail      jsonb,
    attempts    integer,
    at          timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    UNIQUE (job)
);
CREATE INDEX failures_of_run ON oaflow.failures (run, id) WHERE resolved_at IS NULL;

-- What an open job has cost so far. `retries` is compared with retry.max, `crashes` with OAFLOW_CRASHES; a `suspect`
-- was running in a process that died with several jobs in it, and runs alone next time; `alone` is the attempt that began
-- so: what a dead worker merely held beside it is not to blame.
CREATE TABLE oaflow.charges (
    job     bigint PRIMARY KEY,
    retries integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    suspect boolean NOT NULL DEFAULT false,
    alone   integer
);

-- Parts of a stream that were handed over, so that a repeated attempt skips them.
CREATE TABLE oaflow.chunks (
    job      bigint NOT NULL,
    position integer NOT NULL,
    digest   text NOT NULL,
    size     integer NOT NULL,
    PRIMARY KEY (job, position)
);

-- Documents of a run, as its stages reported them: found, skipped or unreadable, with the reason; or unchanged since an
-- earlier run. `job` is the first that reported it: from there the history of a document is followed from job to job, and
-- needs no index of documents. `parent` is the document that it came out of; `why` it runs again, where it was known before.
CREATE TABLE oaflow.documents (
    run      text NOT NULL,
    document text NOT NULL,
    name     text NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('found', 'skipped', 'unreadable', 'unchanged')),
    reason   text,
    job      bigint,
    parent   text,
    why      text,
    PRIMARY KEY (run, document)
);
CREATE INDEX documents_parent ON oaflow.documents (parent, run) WHERE parent IS NOT NULL;

-- Live workers, beside procrastinate's row of the same id: where they are, what they can run, and of which run alone
-- (NULL: of all).
CREATE TABLE oaflow.workers (
    id           bigint PRIMARY KEY,
    host         text NOT NULL,
    pid          integer NOT NULL,
    program      text NOT NULL,
    formats      integer[] NOT NULL,
    tasks        text[] NOT NULL DEFAULT '{}',
    async_tasks  text[] NOT NULL DEFAULT '{}',
    takes        jsonb NOT NULL DEFAULT '{}',  -- what its function takes as its job, by task
    lacks        jsonb NOT NULL DEFAULT '{}',  -- what it cannot run: why, by task
    run          text,
    rests        jsonb NOT NULL DEFAULT '[]',  -- streams that rest there: run, stage, and above how many open jobs
    started_at   timestamptz NOT NULL DEFAULT now()
);

-- Where the workers were that the history names: this stays when they have left.
CREATE TABLE oaflow.worked (
    id         bigint PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    program    text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
