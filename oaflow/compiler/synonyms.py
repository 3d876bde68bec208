"""
Keys of other programs (GitHub Actions, Airflow, Celery, Nextflow, ...), and the keys of oaflow that mean the same. Data
only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Synonyms:
    """
    What people write in one kind of mapping.

    Attributes:
        keys: by word the key that is meant, which is then not missed as well.
        helps: what is to be done about a word where another key in its place would not be right, or not be all.
        otherwise: what any other word may have been meant to be.
    """

    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    helps: Mapping[str, str] = field(default_factory=dict[str, str])
    otherwise: str = ""


def _each(*groups: tuple[str, str]) -> dict[str, str]:
    """
    A mapping from groups of words, with blanks between them, to what is said of each.
    """
    return {word: said for words, said in groups for word in words.split()}


_CLOCK = "a pipeline does not say when it runs: oaflow schedule add"

PIPELINE = Synonyms(
    keys=_each(
        ("name id dag dag_id workflow flow title", "pipeline"),
        ("jobs tasks steps nodes processes", "stages"),
        ("default_args default", "defaults"),
        ("inputs parameters variables vars arguments", "params"),
        ("version language", "oaflow"),
        ("summary doc doc_md", "description"),
    ),
    helps=_each(
        ("name", "the name of a pipeline goes under `pipeline`"),
        ("on schedule schedule_interval cron triggers start_date", _CLOCK),
        ("env", "functions read the environment of their worker; a param can read it with `env` under `params`"),
        ("broker backend database db redis", "OAFLOW_DB_URI tells each process where the database is"),
        ("include extends import imports", "what stages share goes under `defaults`; Python can share more"),
    ),
)  # fmt: skip

_BEFORE = "data flows forward: write `next` at the stage before"
_AFTER = "where output goes is under `next`"
_CONDITION = (
    "a condition belongs on the edge that leads here: `next: {to: STAGE, when: ...}`; `enabled` depends on params"
)
_EACH = "it is not needed: a function returns any number of jobs, and each runs on its own"

STAGE = Synonyms(
    keys=_each(
        ("function func uses run call callable python_callable operator command script", "task"),
        ("retries max_retries attempts max_attempts", "retry"),
        ("timeout-minutes execution_timeout time_limit soft_time_limit deadline", "timeout"),
        ("if disabled skip", "enabled"),
        ("on_failure on_failure_callback link_error error errors catch", "on_error"),
        ("mem memory_limit ram", "memory"),
        ("priority_weight weight", "priority"),
        ("rate_limit throttle", "rate"),
        ("parallelism max_active_tis_per_dag workers processes maxForks max_parallel", "concurrency"),
        ("batch batch_size buffer", "collect"),
        ("chunk chunks chunk_size", "split"),
        ("chord barrier wait_for", "join"),
        ("mutex lock_key", "lock"),
        ("doc doc_md summary", "description"),
    ),
    helps=_each(
        ("name id task_id label", "the name of a stage is its key under `stages`"),
        ("needs depends_on after from inputs upstream", _BEFORE),
        ("ports edges to outputs downstream link then on_success", _AFTER),
        ("options args kwargs config params arguments op_kwargs", "options go under `with`"),
        ("when where filter", _CONDITION),
        ("matrix strategy foreach for_each map loop group", _EACH),
        ("trigger_rule", "a stage that waits until others are done is a `join`"),
        ("retry_delay default_retry_delay retry_backoff", "retry: {max: 5, base: 10s, cap: 10m}"),
        ("continue-on-error ignore_errors", "a failed job holds back no other; `on_error` names who gets it"),
        ("pool", "`concurrency` sets how many of its jobs run at once, and `queue` where they run"),
        ("runs-on container image docker executor", "the workers of a `queue` run it, wherever they were started"),
        ("acks_late", "it is not needed: a job whose worker dies runs again"),
        ("env", "a function reads the environment of its worker; a param can read it with `env` under `params`"),
    ),
    otherwise="options of the function go under `with`; ",
)  # fmt: skip

DEFAULTS = replace(STAGE, otherwise="")

PARAM = Synonyms(
    keys=_each(
        ("description doc title", "help"),
        ("enum options values", "choices"),
        ("items", "of"),
        ("value", "default"),
        ("kind", "type"),
    ),
    helps=_each(("optional nullable", "a param need not be given, unless it is `required`")),
)

RETRY = Synonyms(
    keys=_each(
        ("attempts count times limit retries max_retries max_attempts", "max"),
        ("delay wait interval countdown", "base"),
        ("max_delay max_wait limit_delay", "cap"),
    )
)

COLLECT = Synonyms(
    keys=_each(("max count n batch_size max_size", "size"), ("timeout delay window seconds interval", "wait"))
)

EDGE = Synonyms(
    keys=_each(
        ("stage target task", "to"),
        ("if", "when"),
        ("filter", "where"),
        ("otherwise", "else"),
        ("depth max_depth recursion", "recurse"),
    ),
    helps=_each(("condition", "`when` is a condition on the whole job, `where` on each entity")),
)

CASE = Synonyms(
    keys=_each(
        ("name title summary", "description"),
        ("stage task from", "at"),
        ("input inputs given entities", "job"),
        ("output outputs expected then to", "expect"),
        ("with", "params"),
    )
)

ENTITY = Synonyms(
    keys=_each(("type", "schema"), ("props attributes", "properties")),
    otherwise="properties of FollowTheMoney go under `properties`; ",
)

# The types of params.
TYPES = _each(
    ("str text", "string"),
    ("integer number", "int"),
    ("array", "list"),
    ("enum", "choice"),
    ("file folder directory", "path"),
    ("bytes", "size"),
    ("time timedelta", "duration"),
)
