"""
The keys of the language: what each is for, in one sentence. Data only, and the one source of it: of what the compiler
knows as a key, of the tables in the reference, of the schema for editors, and of what these show.
"""

from collections.abc import Mapping
from dataclasses import dataclass

REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Key:
    """
    A key at one place of the language, in the Markdown of the reference.

    Attributes:
        meaning: begins in lower case, and has no full stop.
        without: what holds where the key is missing; `REQUIRED` where it must be there.
        more: the heading in the reference that tells the rest.
    """

    meaning: str
    without: str = ""
    more: str = ""


Keys = Mapping[str, Key]

PIPELINE: Keys = {
    "oaflow": Key("the language that the file is written in", "`1`"),
    "pipeline": Key(
        "the name: a lower-case letter, then lower-case letters, digits, `_` and `-`; at most 60 characters", REQUIRED
    ),
    "description": Key("a description for people"),
    "params": Key("the values that each run may set", "none", "Keys of a param"),
    "defaults": Key("default keys for all stages", "none", "Defaults"),
    "start": Key("the stage, or list of stages, where a run starts", "the one stage that no other leads to"),
    "stages": Key("a mapping from names to stages", REQUIRED, "Keys of a stage"),
    "tests": Key("jobs, and where they should go", "none", "Tests"),
}

PARAM: Keys = {
    "type": Key(
        "`string`, `int`, `float`, `bool`, `path`, `list`, `duration`, `size` or `choice`",
        "`string`",
    ),
    "of": Key("the type of a list's items", "`string`"),
    "default": Key(
        "the value for runs that set none, checked like one that a user types. A path is relative to the file",
        "no value: an option that takes it is left out",
    ),
    "required": Key("runs without a value are refused", "`false`"),
    "choices": Key("the allowed values; required for `choice`", "any value of the type"),
    "env": Key(
        "the environment variable that gives the value, read in the process that starts the run", "none is read"
    ),
    "positional": Key("takes the arguments after the pipeline's name; one param at most", "`false`: `-p NAME=VALUE`"),
    "remember": Key("without a value, that of the dataset's last run applies", "`false`"),
    "help": Key("a description for people"),
}

STAGE: Keys = {
    "task": Key("the dotted path of a function decorated with `@stage`", REQUIRED),
    "queue": Key("procrastinate's queue, at most 40 characters", "`defaults`, the decorator's, the stage's name"),
    "next": Key(
        "where the output goes: a stage, an edge, a list of these, or a mapping from ports to them",
        "nothing follows",
        "`next`",
    ),
    "choose": Key(
        "`all`: each edge of a port takes what its condition lets through. `first`: edges are tried in order, and an"
        " entity takes the first that matches",
        "`all`",
        "Conditions",
    ),
    "with": Key("options, given to the function as keyword arguments", "none"),
    "retry": Key(
        "how often a failed attempt is repeated: a number, or `{max, backoff, base, cap}`",
        "5, exponential from 2 s to 10 min",
        "Retries",
    ),
    "timeout": Key("how long an attempt may take: `500ms`, `30m`, `1h30m`", "no limit"),
    "memory": Key(
        "the memory limit above which an attempt is killed, including programs that it starts: `512MiB`", "2 GiB"
    ),
    "priority": Key("a number: higher goes first", "50"),
    "on_error": Key(
        "the stage that gets jobs whose attempts are used up", "the job fails, and is kept for `oaflow retry`"
    ),
    "emit": Key(
        "`success`: handed over when the function has returned. `stream`: in chunks as they come; it rests while too"
        " many jobs are open in the stages after it (`OAFLOW_DEEP`). `always`: like `success`, but what the last"
        " attempt emitted before it failed is handed over with the failure",
        "`success`",
    ),
    "split": Key("splits an arriving job into jobs of at most this many entities", "off"),
    "collect": Key(
        "a number, or `{size, wait}`: the entities of several jobs are collected into one job of at most `size`."
        " `false`: off, whatever `defaults` says",
        "off; `wait` 2 s",
        "Collected jobs",
    ),
    "join": Key(
        "runs once, when no job is open in the stages that it waits for: `run`, a stage, or a list of stages",
        "off",
        "Joins",
    ),
    "lock": Key("an expression: of the jobs with the same value, only one runs at a time", "off", "Locks"),
    "concurrency": Key("how many of its jobs may run at once", "no limit", "Limits"),
    "rate": Key("how many of its jobs may start per period: `50/s`, `1000/m`, `1/10s`", "no limit", "Limits"),
    "enabled": Key(
        "`true`, `false`, or an expression on the params, such as `params.translate` or `params.mode == 'full'`",
        "`true`",
    ),
    "origin": Key("the origin that signs what the stage writes", "`PIPELINE/STAGE`"),
    "external": Key("the function lives in a service of its own; `queue` is required", "`false`"),
    "description": Key("for people: shown by `oaflow graph`", "the docstring's first line"),
}

# Which of them stand under `defaults`: what can be the same for all stages.
DEFAULTS = (
    "queue", "choose", "retry", "timeout", "memory", "priority", "emit", "collect", "lock", "concurrency", "rate",
)  # fmt: skip

RETRY: Keys = {
    "max": Key("how often a failed attempt is repeated; a timeout counts as a failure", "5"),
    "backoff": Key("`exponential`: each wait is twice as long as the one before. `none`: no wait", "`exponential`"),
    "base": Key("the wait before the first repetition", "2 s"),
    "cap": Key("the longest wait", "10 min"),
}

COLLECT: Keys = {
    "size": Key("the largest number of entities in a collected job", REQUIRED),
    "wait": Key("how long the first of them waits for others", "2 s"),
}

EDGE: Keys = {
    "to": Key("the stage that it leads to", REQUIRED),
    "port": Key("the port that it belongs to", "`default`, or the port that it is under"),
    "when": Key(
        "an expression on the job (`job`), the params (`params`) and the run (`run`), which decides for the whole job",
        "takes each job",
    ),
    "where": Key(
        "an expression that also knows each entity (`e`), or a mapping: the job is split, and the"
        " matching entities take the edge",
        "takes each entity",
    ),
    "else": Key("`true`: takes exactly what no other edge of its port took", "`false`"),
    "load": Key("`true`: the entities are read from the store before `where` looks at them", "`false`"),
    "recurse": Key("on an edge that closes a cycle: how often a job may take it", "it closes no cycle"),
}

CASE: Keys = {
    "at": Key("the stage whose function returned the job", REQUIRED),
    "port": Key("the port that it was returned on", "`default`"),
    "params": Key("values of the run's params", "their defaults"),
    "job": Key(
        "`entities`, `context` and `payload`. An entity has a `schema`, and `properties` with single values or lists",
        "a job without entities",
    ),
    "expect": Key(
        "how many entities go to which stage, before `collect` and `split`; for a job without entities, how many jobs."
        " Stages that are not named get none",
        REQUIRED,
    ),
    "description": Key("a description for people"),
}

JOB: Keys = {
    "entities": Key("the entities of the job", "none"),
    "context": Key("a mapping of what stages put there; `job.context` in expressions", "empty"),
    "payload": Key(
        "a mapping of the fields of a payload with a model of its own; `job.payload` in expressions", "empty"
    ),
}

ENTITY: Keys = {
    "id": Key("needed only if an expression reads it", "made up"),
    "schema": Key("one of FollowTheMoney's schemata", REQUIRED),
    "caption": Key("needed only if an expression reads it", "none"),
    "properties": Key("a mapping from properties to values: a text, or a list of texts", "none"),
}


def table(keys: Keys, folder: str = "") -> str:
    """
    The keys as a table of the reference.

    Args:
        folder: of their pages, where each has one.
    """
    rows = [
        f"| {_named(name, folder)} | {key.meaning}{_link(key.more)} | {key.without} |" for name, key in keys.items()
    ]
    return "\n".join(["| key | meaning | without it |", "|---|---|---|", *rows])


def anchor(heading: str) -> str:
    """
    What a link to a heading of the reference ends with.
    """
    return heading.replace("`", "").lower().replace(" ", "-")


def _named(name: str, folder: str) -> str:
    return f"[`{name}`]({folder}/{name}.md)" if folder else f"`{name}`"


def _link(heading: str) -> str:
    return f" ([more](#{anchor(heading)}))" if heading else ""
