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
    "pipeline": Key("the name: a lower-case letter, then lower-case letters, digits, `_`, `-`, at most 60", REQUIRED),
    "description": Key("what the pipeline is for, for people"),
    "params": Key("what each run may set", "none", "Keys of a param"),
    "defaults": Key("keys of stages, for those that do not say otherwise", "none", "Defaults"),
    "start": Key("a stage, or a list of stages, in which a run begins", "the one stage to which no other leads"),
    "stages": Key("a mapping from names to stages", REQUIRED, "Keys of a stage"),
    "tests": Key("jobs, and where they are to go", "none", "Tests"),
}

PARAM: Keys = {
    "type": Key(
        "`string`, `int`, `float`, `bool`, `path`, `list`, `duration`, `size` or `choice`",
        "`string`",
    ),
    "of": Key("the type of a list's items", "`string`"),
    "default": Key(
        "the value of runs that set none, checked like one that somebody types. A path is relative to the file",
        "no value, and an option that it is given to is left out",
    ),
    "required": Key("a run without a value is refused", "`false`"),
    "choices": Key("the values that there are; for `choice` they must be given", "any value of the type"),
    "env": Key(
        "the environment variable that the value is taken from, in the process that starts the run", "none is read"
    ),
    "positional": Key("takes the arguments behind the pipeline's name; one param at most", "`false`: `-p NAME=VALUE`"),
    "remember": Key("without a value, the one of the dataset's last run counts", "`false`"),
    "help": Key("what the param is for, for people"),
}

STAGE: Keys = {
    "task": Key("the dotted path of a function decorated with `@stage`", REQUIRED),
    "queue": Key("procrastinate's queue, at most 40 characters", "`defaults`, the decorator's, the stage's name"),
    "next": Key(
        "where the output goes: a stage, an edge, a list of these, or a mapping from ports to them",
        "the end of the line",
        "`next`",
    ),
    "choose": Key(
        "`all`: each edge of a port takes what its condition lets through. `first`: the edges are tried in order, and"
        " an entity goes along the first that takes it",
        "`all`",
        "Conditions",
    ),
    "with": Key("options, given to the function as keyword arguments", "none"),
    "retry": Key(
        "repetitions after the first attempt: a number, or `{max, backoff, base, cap}`",
        "5, exponential from 2 s to 10 min",
        "Retries",
    ),
    "timeout": Key("how long an attempt may take: `500ms`, `30m`, `1h30m`", "no limit"),
    "memory": Key("above which an attempt is killed, the programs that it starts counted in: `512MiB`", "2 GiB"),
    "priority": Key("a number: higher goes first", "50"),
    "on_error": Key(
        "the stage that gets a job whose attempts are used up", "the job is failed, and kept for `oaflow retry`"
    ),
    "emit": Key(
        "`success`: handed over when the function has returned. `stream`: in chunks as they come; it rests while too"
        " much is open in what follows (`OAFLOW_DEEP`). `always`: as `success`, and what the last attempt had emitted"
        " before it failed goes out with the failure",
        "`success`",
    ),
    "split": Key("an arriving job becomes jobs of at most so many entities", "off"),
    "collect": Key(
        "a number, or `{size, wait}`: the entities of several jobs are put into one job of at most `size`. `false`:"
        " off, whatever `defaults` say",
        "off; `wait` 2 s",
        "Jobs put together",
    ),
    "join": Key(
        "called once, when nothing is open in the stages that it waits for: `run`, a stage, or a list of stages",
        "off",
        "Joins",
    ),
    "lock": Key("an expression: of the jobs for which it has the same value, one at a time runs", "off", "Locks"),
    "concurrency": Key("how many of its jobs run at once", "no limit", "Limits"),
    "rate": Key("how many of its jobs begin in a time: `50/s`, `1000/m`, `1/10s`", "no limit", "Limits"),
    "enabled": Key(
        "`true`, `false`, or an expression on the params, such as `params.translate` or `params.mode == 'full'`",
        "`true`",
    ),
    "origin": Key("what the stage's writes are signed with", "`PIPELINE/STAGE`"),
    "external": Key("the function lives in a service of its own; `queue` is required", "`false`"),
    "description": Key("for people: shown by `oaflow graph`", "the docstring's first line"),
}

# Which of them stand under `defaults`: what can be the same for all stages.
DEFAULTS = (
    "queue", "choose", "retry", "timeout", "memory", "priority", "emit", "collect", "lock", "concurrency", "rate",
)  # fmt: skip

RETRY: Keys = {
    "max": Key("how often an attempt that failed is repeated; a timeout counts as one", "5"),
    "backoff": Key("`exponential`: each wait is twice as long as the one before. `none`: no wait", "`exponential`"),
    "base": Key("the wait before the first repetition", "2 s"),
    "cap": Key("the longest wait", "10 min"),
}

COLLECT: Keys = {
    "size": Key("the most entities of a job that is put together", REQUIRED),
    "wait": Key("how long the first of them waits for others", "2 s"),
}

EDGE: Keys = {
    "to": Key("the stage that it leads to", REQUIRED),
    "port": Key("the port that it is of", "`default`, or the port that it stands under"),
    "when": Key(
        "an expression on the job (`job`), the params (`params`) and the run (`run`): decides for the job as a whole",
        "takes each job",
    ),
    "where": Key(
        "an expression on each entity (`e`) too, or a mapping: the job is split, and what holds travels along the edge",
        "takes each entity",
    ),
    "else": Key("`true`: exactly what no other edge of its port took", "`false`"),
    "load": Key("`true`: the entities are read from the store before `where` looks at them", "`false`"),
    "recurse": Key("how often a job goes along it, on an edge that closes a circle", "it closes none"),
}

CASE: Keys = {
    "at": Key("the stage whose function returned the job", REQUIRED),
    "port": Key("the port that it was returned on", "`default`"),
    "params": Key("values of the run's params", "their defaults"),
    "job": Key(
        "`entities`, `context` and `payload`. An entity has a `schema`, and `properties` whose values are lists, or"
        " alone",
        "a job without entities",
    ),
    "expect": Key(
        "how many entities go to which stage, before `collect` and `split`; of a job without entities, how many jobs."
        " A stage that is not named gets none",
        REQUIRED,
    ),
    "description": Key("what the test shows, for people"),
}

JOB: Keys = {
    "entities": Key("the entities of the job", "none"),
    "context": Key("a mapping: what stages put there, `job.context` in expressions", "empty"),
    "payload": Key("a mapping: the fields of a payload with a model of its own, `job.payload` in expressions", "empty"),
}

ENTITY: Keys = {
    "id": Key("needed only where an expression reads it", "made up"),
    "schema": Key("one of FollowTheMoney's schemata", REQUIRED),
    "caption": Key("needed only where an expression reads it", "none"),
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
