"""
Phase 1: the shape. Which keys there are, and what kind of value each takes.
"""

from oaflow.compiler.rules.declare import rule

UNKNOWN_KEY = rule(
    "OAF101",
    "unknown-key",
    "a key that the language does not have",
    """
    Nothing is ignored: a key that has no meaning in its place is an error, so that a misspelled `retry` is found before
    it is in production.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, timout: 30m}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, timeout: 30m}
    """,
)
MISSING_KEY = rule(
    "OAF102",
    "missing-key",
    "a key that must be there is missing",
    """
    A pipeline has a name (`pipeline`), a stage has a `task`, an edge has a `to`, a param of type choice has
    `choices`.
    """,
    """
    pipeline: notes
    stages:
      read: {queue: notes}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, queue: notes}
    """,
)
WRONG_TYPE = rule(
    "OAF103",
    "wrong-type",
    "a value has the wrong type for its key",
    """
    For example, a list in place of a text, a text in place of a number, or no value at all. Only `true` and `false`
    are booleans here, as in YAML 1.2: `yes`, `no`, `on` and `off` are words. Put a number, or a word like `null`, in
    quotes if it is meant as text.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, external: yes, queue: notes}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, external: true, queue: notes}
    """,
)
BAD_NAME = rule(
    "OAF104",
    "bad-name",
    "a name has characters that names cannot have",
    """
    Pipelines and stages: a lower-case letter, then lower-case letters, digits, `_` and `-`, at most 60. Params
    and options: as in Python. Ports: letters, digits, `_`, `-`, `.`. A task is the dotted path of a function.
    """,
    """
    pipeline: notes
    stages:
      Read notes: {task: notes.read}
    """,
    """
    pipeline: notes
    stages:
      read-notes: {task: notes.read}
    """,
)
RESERVED_NAME = rule(
    "OAF105",
    "reserved-name",
    "a name is a reserved word",
    """
    No stage is named `drop`, `run` or `default`; no port like a key of an edge (`to port when where recurse else
    load`); and the context of an external stage's job has no key `batch queue task dataset entities app cls
    oaflow`, which the services pass on as arguments of their own.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: run}
      run: {task: notes.run}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: execute}
      execute: {task: notes.run}
    """,
)
BAD_DURATION = rule(
    "OAF106",
    "bad-duration",
    "a value is not a duration",
    """
    Durations are numbers with a unit, which can be combined: `500ms`, `2s`, `30m`, `1h30m`, `2d`. A number
    alone is seconds.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, timeout: 30 minutes}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, timeout: 30m}
    """,
)
BAD_SIZE = rule(
    "OAF107",
    "bad-size",
    "a value is not a size",
    """
    Sizes are a number with a unit: `512MiB`, `2GiB`, `16kB`. A whole number alone is bytes. `MB` is a million
    bytes, `MiB` is 1024 times 1024.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, memory: 2 gigs}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, memory: 2GiB}
    """,
)
BAD_RATE = rule(
    "OAF130",
    "bad-rate",
    "a value is not a rate",
    """
    Rates are a number per period: `50/s`, `1000/m`, `1/10s`. A number alone does not name the period.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, rate: 50}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, rate: 50/s}
    """,
)
OUT_OF_RANGE = rule(
    "OAF108",
    "out-of-range",
    "a number is too small or too large for its key",
    """
    `retry.max` is 0 or more, `split`, `collect` and `concurrency` 1 or more, `recurse` 1 to 1,000, `timeout`,
    `memory` and `rate` more than 0, `priority` any 32-bit integer.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, retry: -1}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, retry: 0}
    """,
)
LONG_QUEUE = rule(
    "OAF109",
    "long-queue",
    "the name of a queue has more than 40 characters",
    """
    Queues are announced over Postgres channels, whose names are short. Without `queue`, the queue of a stage has the
    name of the stage.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, queue: the-queue-for-all-notes-that-were-written-by-hand}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, queue: handwritten-notes}
    """,
)
BAD_CHOICE = rule(
    "OAF110",
    "bad-choice",
    "a value is not one of the choices of its key",
    """
    `emit` is success, stream or always; `retry.backoff` is none or exponential; `enabled` is true, false or
    `params.NAME`; the types of params are string, int, float, bool, path, list, duration, size and choice.
    """,
    """
    pipeline: notes
    params: {pages: {type: integer}}
    stages:
      read: {task: notes.read, with: {pages: "${params.pages}"}}
    """,
    """
    pipeline: notes
    params: {pages: {type: int}}
    stages:
      read: {task: notes.read, with: {pages: "${params.pages}"}}
    """,
)
NO_STAGES = rule(
    "OAF112",
    "no-stages",
    "the pipeline has no stages",
    """
    `stages` is a mapping from names to stages, with at least one stage.
    """,
    """
    pipeline: notes
    stages: {}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
EXTERNAL_KEY = rule(
    "OAF113",
    "external-key",
    "a key has no effect on an external stage",
    """
    An external stage runs in another service, which decides about `retry`, `timeout`, `memory`, `concurrency` and
    `rate`.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, external: true, queue: notes, timeout: 5m}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, external: true, queue: notes}
    """,
)
EXTERNAL_QUEUE = rule(
    "OAF114",
    "external-queue",
    "an external stage does not name its queue",
    """
    The service works on a queue whose name cannot be known here.
    """,
    """
    pipeline: notes
    stages:
      translate: {task: ftm_translate.tasks.translate, external: true}
    """,
    """
    pipeline: notes
    stages:
      translate: {task: ftm_translate.tasks.translate, external: true, queue: translate}
    """,
)
REFERENCE_IN_NAME = rule(
    "OAF115",
    "reference-in-name",
    "`${}` is used where nothing is filled in",
    """
    The wiring of a plan is fixed: stages, tasks, queues, ports, `to`, `on_error`, `join`, `start`, `origin`, `split`
    and `recurse` cannot depend on a param. To switch a stage on and off, write `enabled: params.NAME`, without
    `${}`.
    """,
    """
    pipeline: notes
    params: {queue: {default: notes}}
    stages:
      read: {task: notes.read, queue: "${params.queue}"}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, queue: notes}
    """,
)
BAD_REFERENCE = rule(
    "OAF116",
    "bad-reference",
    "`${}` contains something that cannot be filled in",
    """
    Only `${params.NAME}` is filled in: no environment, no code, no defaults inside. A param can take its value
    from the environment (`env`) and have a `default`. For a number, the reference must be the whole value. To
    write a literal `${`, for example for a shell, use `$${`.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, with: {home: "${HOME}/notes"}}
    """,
    """
    pipeline: notes
    params: {home: {env: HOME, required: true}}
    stages:
      read: {task: notes.read, with: {home: "${params.home}/notes"}}
    """,
)
PARAM_CONFLICT = rule(
    "OAF117",
    "param-conflict",
    "two keys of a param contradict each other",
    """
    `of` belongs to lists; a param with a `default` always has a value, so `required` has no effect.
    """,
    """
    pipeline: notes
    params: {pages: {type: int, of: string}}
    stages:
      read: {task: notes.read, with: {pages: "${params.pages}"}}
    """,
    """
    pipeline: notes
    params: {pages: {type: list, of: string}}
    stages:
      read: {task: notes.read, with: {pages: "${params.pages}"}}
    """,
)
SECRET_PARAM = rule(
    "OAF119",
    "secret-param",
    "the name of a param looks like a secret",
    """
    The values of params are stored with every run and shown by `oaflow status` and the web page. A function reads
    a secret from the environment of its worker. This is a warning: the name ends in key, token, secret or
    password, and may mean nothing.
    """,
    """
    pipeline: notes
    params: {api_token: {required: true}}
    stages:
      read: {task: notes.read, with: {token: "${params.api_token}"}}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
    severity="warning",
)
BAD_DEFAULT = rule(
    "OAF120",
    "bad-default",
    "a default, a choice or a test's value is not one of the param's type",
    """
    A default is checked like a value that a user types, and so are the values under `params` of a test.
    """,
    """
    pipeline: notes
    params: {pages: {type: int, default: many}}
    stages:
      read: {task: notes.read, with: {pages: "${params.pages}"}}
    """,
    """
    pipeline: notes
    params: {pages: {type: int, default: 100}}
    stages:
      read: {task: notes.read, with: {pages: "${params.pages}"}}
    """,
)
LANGUAGE_VERSION = rule(
    "OAF121",
    "language-version",
    "the file is written in a version of the language that this program does not read",
    """
    `oaflow: 1` at the top names the version of the language; it is also the default.
    """,
    """
    oaflow: 2
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
    """
    oaflow: 1
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
DROP_MISPLACED = rule(
    "OAF122",
    "drop-misplaced",
    "`drop` is used where it has no meaning",
    """
    `drop` means that what comes out of a port is deliberately thrown away, and counted as dropped. It must be the only
    target of the port: `next: {media: drop}`.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: {default: index, media: [index, drop]}}
      index: {task: notes.index}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: {default: index, media: drop}}
      index: {task: notes.index}
    """,
)
EMPTY_NEXT = rule(
    "OAF123",
    "empty-next",
    "`next` leads nowhere",
    """
    A stage that nothing follows has no `next`. A port whose output is not wanted gets `drop`.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: []}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
PORT_TWICE = rule(
    "OAF124",
    "port-twice",
    "an edge under a port names a port",
    """
    An edge gets its port either from its place (`next: {media: {to: transcribe}}`) or from its own key (`next:
    [{to: transcribe, port: media}]`), not from both.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: {default: index, media: {to: index, port: pictures}}}
      index: {task: notes.index}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: {default: index, media: {to: index}}}
      index: {task: notes.index}
    """,
)
EDGE_TWICE = rule(
    "OAF125",
    "edge-twice",
    "a port leads to the same stage twice",
    """
    Every edge gets a copy of the job: the stage would do its work twice.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: [index, index]}
      index: {task: notes.index}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: index}
      index: {task: notes.index}
    """,
)
NOT_PLAIN = rule(
    "OAF126",
    "not-plain",
    "a value that a plan cannot hold",
    """
    A plan is JSON: texts, whole numbers of 64 bits, finite numbers, true, false, null, lists, and mappings whose
    keys are texts. In the Python form, paths, sets, dates and functions are written as one of these.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, with: {limit: .inf}}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, with: {limit: null}}
    """,
)
LOOKALIKE = rule(
    "OAF127",
    "lookalike-letter",
    "a letter only looks like the intended one",
    """
    Some letters of other scripts look the same as Latin ones in most fonts: a Cyrillic а, a Greek ο. Names and
    keys of the language are ASCII. They come from copied text, or from a keyboard layout.
    """,
    """
    pipeline: notes
    stages:
      read: {tаsk: notes.read}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
    """,
)
COLLECT_CONFLICT = rule(
    "OAF129",
    "collect-conflict",
    "a stage collects and splits",
    """
    `collect` puts the entities of several jobs into one job of at most its size, and splits larger ones. So `split` has
    nothing left to do.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: index}
      index: {task: notes.index, collect: 500, split: 100}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: index}
      index: {task: notes.index, collect: 500}
    """,
)
JOIN_CONFLICT = rule(
    "OAF128",
    "join-conflict",
    "a key has no effect on a join",
    """
    A join runs once, with one job that has no entities: there is nothing to `split` or to `collect`.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
      report: {task: notes.report, join: run, split: 10}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read}
      report: {task: notes.report, join: run}
    """,
)
ELSE_CONFLICT = rule(
    "OAF131",
    "else-conflict",
    "an edge with `else` has a condition of its own",
    """
    `else: true` takes exactly what no other edge of its port took. There is nothing left for `when`, `where` or `load`
    to decide.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: [{to: index, where: {schema: Document}}, {to: ask, else: true, when: run.id}]}
      index: {task: notes.index}
      ask: {task: notes.ask}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: [{to: index, where: {schema: Document}}, {to: ask, else: true}]}
      index: {task: notes.index}
      ask: {task: notes.ask}
    """,
)
IDLE_LOAD = rule(
    "OAF132",
    "idle-load",
    "an edge has `load`, but no `where`",
    """
    `load: true` reads the entities of a job from the store before a `where` looks at them. It does nothing for the
    stage that the edge leads to, which reads for itself with `job.load_entities()`.
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: {to: index, load: true}}
      index: {task: notes.index}
    """,
    """
    pipeline: notes
    stages:
      read: {task: notes.read, next: index}
      index: {task: notes.index}
    """,
)
