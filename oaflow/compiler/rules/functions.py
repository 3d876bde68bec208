"""
Phase 4: the functions that the stages name, as they are found where the compiler runs.
"""

from oaflow.compiler.rules.declare import beside, rule

# What most examples have in common.
_FUNCTIONS = """
    from oaflow import DatasetJob, stage


    @stage
    def read(job: DatasetJob) -> DatasetJob: ...


    @stage
    def index(job: DatasetJob) -> None: ...
    """
_PIPELINE = """
    pipeline: letters
    stages:
      read: {task: letters.read, next: index}
      index: {task: letters.index}
    """
_ONE = """
    pipeline: letters
    stages:
      read: {task: letters.read}
    """
_WITH_LANGUAGE = """
    from oaflow import DatasetJob, stage


    @stage
    def read(job: DatasetJob, *, language: str = "eng") -> None: ...
    """
_WITH_IMAGES = """
    from oaflow import DatasetJob, stage


    @stage(ports=("default", "images"))
    def read(job: DatasetJob) -> DatasetJob: ...


    @stage
    def index(job: DatasetJob) -> None: ...
    """
_WITH_PEOPLE = """
    from oaflow import DatasetJob, stage


    @stage(emits=["Document", "Person"])
    def read(job: DatasetJob) -> DatasetJob: ...


    @stage(accepts=["Person"])
    def people(job: DatasetJob) -> None: ...


    @stage
    def index(job: DatasetJob) -> None: ...
    """

NO_MODULE = rule(
    "OAF401",
    "no-module",
    "the module of a task cannot be found",
    """
    The part of `task` before the last dot is imported, from the current folder and from the packages installed where
    oaflow runs. A task of another service needs `external: true`.
    """,
    beside(
        _FUNCTIONS,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: index}
          index: {task: leters.index}
        """,
    ),
    beside(_FUNCTIONS, _PIPELINE),
)
IMPORT_FAILED = rule(
    "OAF402",
    "import-failed",
    "the module of a task raises when it is imported",
    """
    The module exists, but importing it raises an exception. `python -c 'import MODULE'` shows the full traceback.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        NAMES = open("names.txt").read().split()


        @stage
        def read(job: DatasetJob) -> None: ...
        """,
        _ONE,
    ),
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob) -> None:
            names = open("names.txt").read().split()
        """,
        _ONE,
    ),
)
NO_FUNCTION = rule(
    "OAF403",
    "no-function",
    "the module of a task has no such function",
    """
    The part of `task` after the last dot is a name in the module before it.
    """,
    beside(
        _FUNCTIONS,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: index}
          index: {task: letters.indx}
        """,
    ),
    beside(_FUNCTIONS, _PIPELINE),
)
UNDECORATED = rule(
    "OAF404",
    "undecorated",
    "the function of a task is not decorated with `@stage`",
    """
    A pipeline runs only functions that are marked as stages: `from oaflow import stage`, and `@stage` above the
    function. A decorated function stays a plain callable. A function with `@task` is a task of procrastinate, whose
    returned job goes where the job says, so it is not a stage.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob) -> DatasetJob: ...


        def index(job: DatasetJob) -> None: ...
        """,
        _PIPELINE,
    ),
    beside(_FUNCTIONS, _PIPELINE),
)
UNKNOWN_OPTION = rule(
    "OAF405",
    "unknown-option",
    "the function of a stage does not take an option in `with`",
    """
    The members of `with` are passed to the function as keyword arguments, after the job.
    """,
    beside(
        _WITH_LANGUAGE,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, with: {langage: rus}}
        """,
    ),
    beside(
        _WITH_LANGUAGE,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, with: {language: rus}}
        """,
    ),
)
MISSING_OPTION = rule(
    "OAF406",
    "missing-option",
    "the function of a stage needs an option that `with` does not give",
    """
    A parameter without a default needs a value. If a param has no value (no `default`, not `required`), its option is
    left out and the function's own default applies.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob, *, language: str) -> None: ...
        """,
        _ONE,
    ),
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob, *, language: str) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, with: {language: rus}}
        """,
    ),
)
UNWIRED_PORT = rule(
    "OAF407",
    "unwired-port",
    "a port that the function declares is not wired",
    """
    `@stage(ports=...)` names the ports on which the function may emit; without it there is only `default`. Under
    `next`, each of them must lead to a stage or to `drop`, so that nothing gets lost unnoticed.
    """,
    beside(
        _WITH_IMAGES,
        _PIPELINE,
    ),
    beside(
        _WITH_IMAGES,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: {default: index, images: drop}}
          index: {task: letters.index}
        """,
    ),
)
UNDECLARED_PORT = rule(
    "OAF408",
    "undeclared-port",
    "a port is wired that the function does not declare",
    """
    The function will never emit on this port: it is misspelled, or missing in `@stage(ports=...)`.
    """,
    beside(
        _FUNCTIONS,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: {default: index, images: index}}
          index: {task: letters.index}
        """,
    ),
    beside(
        _WITH_IMAGES,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: {default: index, images: index}}
          index: {task: letters.index}
        """,
    ),
)
BAD_SIGNATURE = rule(
    "OAF409",
    "bad-signature",
    "the function of a stage does not take a job",
    """
    A stage function takes the job as its first argument, and its options as keyword arguments. The annotation of the
    first argument is a class of job, not of what a job carries: that is in `job.payload`.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(*, language: str = "eng") -> None: ...
        """,
        _ONE,
    ),
    beside(_WITH_LANGUAGE, _ONE),
)
NO_ANSWER = rule(
    "OAF410",
    "no-answer",
    "importing the module of a task did not end, or ended the process",
    """
    Functions are inspected in a separate process with a time limit. A module that waits for a network, starts a server
    or calls `os._exit` when it is imported cannot hold a stage: do these things in the function.
    """,
    beside(
        """
        import time

        from oaflow import DatasetJob, stage


        time.sleep(3600)  # until the service is there


        @stage
        def read(job: DatasetJob) -> None: ...
        """,
        _ONE,
    ),
    beside(
        """
        import time

        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob) -> None:
            time.sleep(3600)  # until the service is there
        """,
        _ONE,
    ),
)
NOT_CALLABLE = rule(
    "OAF411",
    "not-a-function",
    "what a task names is not a function",
    """
    The name exists in the module, but is a class, a module or a value. A stage is a function (sync, async, or a
    generator).
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob) -> DatasetJob: ...


        index = "letters"
        """,
        _PIPELINE,
    ),
    beside(_FUNCTIONS, _PIPELINE),
)
# OAF412 stood for what a decorator could not ask for yet. Codes are never used again.

OPTION_TYPE = rule(
    "OAF413",
    "option-type",
    "an option has a value of another type than the function takes",
    """
    If a parameter is annotated with plain types (`str`, `int`, `float`, `bool`, `list`, `dict`, `None`, a
    `Literal`, and unions of these), the value in `with` is compared with it, and so is the type of a param that
    fills it in.
    Options are sent as JSON: a duration arrives as seconds (`float`), a size as bytes (`int`), and a path as a text,
    which the annotation `Path` converts.
    """,
    beside(
        _WITH_LANGUAGE,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, with: {language: 49}}
        """,
    ),
    beside(
        _WITH_LANGUAGE,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, with: {language: "49"}}
        """,
    ),
)
NOTHING_TO_STREAM = rule(
    "OAF414",
    "nothing-to-stream",
    "`emit: stream` on a function that returns its jobs at once",
    """
    A stream is handed over in chunks while the function runs, so the function must yield its jobs one by one, or be
    annotated as returning an iterator. A function that returns a list makes all jobs before the first chunk can go.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob) -> list[DatasetJob]: ...


        @stage
        def index(job: DatasetJob) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, emit: stream, next: index}
          index: {task: letters.index}
        """,
    ),
    beside(
        """
        from collections.abc import Iterator

        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob) -> Iterator[DatasetJob]: ...


        @stage
        def index(job: DatasetJob) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, emit: stream, next: index}
          index: {task: letters.index}
        """,
    ),
    severity="warning",
)
UNKNOWN_SCHEMA = rule(
    "OAF415",
    "function-schema",
    "a decorator names an FtM schema that does not exist",
    """
    `@stage(accepts=..., emits=...)` name schemata of followthemoney, each with all its descendants.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage(emits=["Documnt"])
        def read(job: DatasetJob) -> DatasetJob: ...


        @stage
        def index(job: DatasetJob) -> None: ...
        """,
        _PIPELINE,
    ),
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage(emits=["Document"])
        def read(job: DatasetJob) -> DatasetJob: ...


        @stage
        def index(job: DatasetJob) -> None: ...
        """,
        _PIPELINE,
    ),
)
NOT_INSTALLED = rule(
    "OAF416",
    "not-installed",
    "a package that the function of a stage imports when it runs is not installed",
    """
    A module that imports something only when needed declares it in `__needs__`: for each function, the package to
    install and the modules in it. The ready-made stages `extract` and `analyze` need the extra `documents`.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        __needs__ = {"read": ("letters[scans]", ("reader_of_scans",))}


        @stage
        def read(job: DatasetJob) -> None:
            import reader_of_scans
        """,
        _ONE,
    ),
    """
    $ pip install 'letters[scans]'
    """,
)
NOTHING_FLOWS = rule(
    "OAF417",
    "nothing-flows",
    "nothing can take an edge, given what its stages emit and accept",
    """
    `@stage(emits=..., accepts=...)` name schemata of FollowTheMoney, each with all its descendants. An edge brings what
    the first stage emits on the port and the `where` lets through; the second stage accepts none of it. Either the
    edge leads to the wrong stage, or `emits`, `where` or `accepts` is too narrow.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage(emits=["Document"])
        def read(job: DatasetJob) -> DatasetJob: ...


        @stage(accepts=["Person"])
        def people(job: DatasetJob) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: people}
          people: {task: letters.people}
        """,
    ),
    beside(
        _WITH_PEOPLE,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: [{to: people, where: {schema: Person}}, {to: index, else: true}]}
          people: {task: letters.people}
          index: {task: letters.index}
        """,
    ),
)
PARTLY_ACCEPTED = rule(
    "OAF418",
    "partly-accepted",
    "a stage does not accept everything that an edge brings",
    """
    `@stage(accepts=...)` names what a function can process. The edge brings other entities, too: add a `where` to let
    only the right ones through, and an `else` to send the rest elsewhere.
    """,
    beside(
        _WITH_PEOPLE,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: [people, index]}
          people: {task: letters.people}
          index: {task: letters.index}
        """,
    ),
    beside(
        _WITH_PEOPLE,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: [{to: people, where: {schema: Person}}, index]}
          people: {task: letters.people}
          index: {task: letters.index}
        """,
    ),
    severity="warning",
)
UNDECLARED_OUT = rule(
    "OAF419",
    "undeclared-out",
    "a function returns a job on a port that its `@stage` does not declare",
    """
    `Out("large", job)` sends a job to a port, and `@stage(ports=...)` declares the ports. If the stage has a `next`, a
    job for an undeclared port fails. Only ports that are literals in the function itself are checked.
    """,
    beside(
        """
        from oaflow import DatasetJob, Out, stage


        @stage(ports=("default", "large"))
        def read(job: DatasetJob) -> Out | DatasetJob:
            return Out("big", job) if len(job.entities) > 100 else job


        @stage
        def index(job: DatasetJob) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: {default: index, large: drop}}
          index: {task: letters.index}
        """,
    ),
    beside(
        """
        from oaflow import DatasetJob, Out, stage


        @stage(ports=("default", "large"))
        def read(job: DatasetJob) -> Out | DatasetJob:
            return Out("large", job) if len(job.entities) > 100 else job


        @stage
        def index(job: DatasetJob) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: {default: index, large: drop}}
          index: {task: letters.index}
        """,
    ),
    severity="warning",
)
OTHER_JOB = rule(
    "OAF420",
    "other-job",
    "a function returns another class of job than the next one takes",
    """
    What a function is annotated to return, alone or one by one, is compared with what the next one is annotated to
    take: it may be the same class, one derived from it, or one that it is derived from (what is said to be a
    `DatasetJob` may be any of yours). Of a union one class is enough. With `on_error` what the two functions take is
    compared, as a failed job goes on as it arrived. A function without annotations takes and returns anything, and so
    does an external stage. What goes out on another port than `default` is what stands in the annotated `Out`:
    `-> Iterator[Page | Out[Sound]]`. An `Out` alone says nothing of the job in it, so its edges are not compared. An
    `Out[Page | Sound]` may bring either on each port, so an edge is right where the next function takes one of the two.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        class Page(DatasetJob): ...


        class Sound(DatasetJob): ...


        @stage
        def read(job: DatasetJob) -> list[Page]: ...


        @stage
        def listen(job: Sound) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: listen}
          listen: {task: letters.listen}
        """,
    ),
    beside(
        """
        from oaflow import DatasetJob, stage


        class Page(DatasetJob): ...


        class Sound(DatasetJob): ...


        @stage
        def read(job: DatasetJob) -> list[Page | Sound]: ...


        @stage
        def listen(job: Sound) -> None: ...
        """,
        """
        pipeline: letters
        stages:
          read: {task: letters.read, next: listen}
          listen: {task: letters.listen}
        """,
    ),
)
RETURNS_NOTHING = rule(
    "OAF421",
    "returns-nothing",
    "a function returns nothing, and its stage has a `next`",
    """
    `-> None` means that no job comes out, and so does code that neither returns a value nor yields. The stages after
    this one would never have anything to do. Either the annotation is wrong, or a `return` is missing, or nothing
    should follow the stage.
    """,
    beside(
        """
        from oaflow import DatasetJob, stage


        @stage
        def read(job: DatasetJob) -> None: ...


        @stage
        def index(job: DatasetJob) -> None: ...
        """,
        _PIPELINE,
    ),
    beside(
        _FUNCTIONS,
        _PIPELINE,
    ),
)
CAP_BELOW_BASE = rule(
    "OAF422",
    "cap-below-base",
    "no repetition waits as long as `base` says",
    """
    Repetition n waits `base * 2 ** (n - 1)`, but at most `cap`. If `cap` is less than `base`, every repetition waits
    for `cap`. The default of `cap` is 10 minutes. The values of the stage, of `defaults` and of the function's `@stage`
    are combined; values that are params are not compared.
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, retry: {max: 3, base: 1h}}
    """,
    """
    pipeline: letters
    stages:
      read: {task: letters.read, retry: {max: 3, base: 1h, cap: 4h}}
    """,
    severity="warning",
)
UNSEEN_CLASS = rule(
    "OAF423",
    "unseen-class",
    "the class of a function's job is imported for type checkers only",
    """
    A worker reads the annotation of the first argument to find the class of the job. At run time, imports under
    `if TYPE_CHECKING:` do not exist: the job would arrive as a DatasetJob, with a dict as its payload and without what
    the class adds.
    """,
    beside(
        """
        from __future__ import annotations

        from typing import TYPE_CHECKING

        from oaflow import stage

        if TYPE_CHECKING:
            from post import Letter


        @stage
        def read(job: Letter) -> None: ...


        # post.py
        from oaflow import DatasetJob


        class Letter(DatasetJob):
            @property
            def sender(self) -> str:
                return self.context["sender"]
        """,
        _ONE,
    ),
    beside(
        """
        from __future__ import annotations

        from post import Letter

        from oaflow import stage


        @stage
        def read(job: Letter) -> None: ...


        # post.py
        from oaflow import DatasetJob


        class Letter(DatasetJob):
            @property
            def sender(self) -> str:
                return self.context["sender"]
        """,
        _ONE,
    ),
)
