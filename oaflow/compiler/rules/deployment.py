"""
Phase 5: where the pipeline is to run, as `oaflow check --db` finds it: workers that live there, limits that hold, and
runs in flight.
"""

from oaflow.compiler.rules.declare import rule

NO_WORKER = rule(
    "OAF501",
    "no-worker",
    "no worker is connected to the database",
    """
    A run that starts there waits for a worker: type `oaflow worker` on a machine where the modules of the stages are
    installed. Workers that `oaflow run` starts work only on its own run, and do not count. The private server of a
    machine is not checked for this, because each run there starts its own workers.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF501] no-worker: no worker is running there: a run would wait for one
    """,
    """
    $ oaflow worker
    """,
)
UNSERVED_TASK = rule(
    "OAF502",
    "unserved-task",
    "no live worker can run the task of a stage",
    """
    Each live worker was asked to import the function; the notes say what each found. Jobs of the stage would wait for
    a worker that can run them. A worker that could not import a module tries again only after a restart.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF502] unserved-task: no live worker can run task 'letters.index' of queue 'index'
      note: worker 3 on reader: task 'letters.index': importing 'letters' failed: ModuleNotFoundError
    """,
    """
    $ pip install letters && oaflow worker
    """,
)
OTHER_FORMAT = rule(
    "OAF503",
    "other-format",
    "the workers that can run a task read other formats of plans",
    """
    A worker takes only jobs of runs whose plan has a format that it can read. These workers have an earlier or a later
    version of oaflow: use one version for checking and for the workers.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF503] other-format: no live worker that can run task 'letters.read' of queue 'read' knows plans of format 1
      note: worker 3 on reader knows formats 2, 3
    """,
    """
    $ pip install --upgrade oaflow && oaflow worker
    """,
)
OTHER_INPUT = rule(
    "OAF504",
    "other-input",
    "a live worker's function takes another type of job",
    """
    The first parameter of the function is annotated with another type there than here, so the code there is older
    or newer. Any worker that can run the task may claim the job, and one that takes another type fails it.
    Annotations are compared as written, with their modules.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF504] other-input: 'letters.read' takes letters.Letter here, and letters.OldLetter at worker 3 on reader
    """,
    """
    $ pip install --upgrade letters && oaflow worker
    """,
)
LOWER_LIMIT = rule(
    "OAF505",
    "lower-limit",
    "a limit is lower than the plan says",
    """
    A limit that an operator set with `oaflow limit` overrides the plans; without one, the smallest limit in the plans
    of open runs applies. So `concurrency` or `rate` of this stage would have no effect there. A limit that is a param
    is compared by its default, or by the value that `-p` gives it.
    """,
    """
    $ oaflow check letters.yml --db
    warning[OAF505] lower-limit: stage 'read' may run 8 jobs at once, and an operator allows 2
    """,
    """
    $ oaflow limit read/letters.read --concurrency 8
    """,
    severity="warning",
)
OLDER_RUN = rule(
    "OAF506",
    "older-run",
    "a run in flight uses an older plan of the pipeline",
    """
    A run keeps the plan it started with. `oaflow plan --diff RUN PIPELINE` shows what has changed since. The run could
    switch to the new plan if each of its jobs, wherever it waits, would also wait there under the new plan; the notes
    say what prevents that.
    """,
    """
    $ oaflow check letters.yml --db
    warning[OAF506] older-run: run letters-abc234 continues with an older plan, and may not move to this one
      note: stage 'index' is another task, but jobs may wait on queue 'index' for letters.search
    """,
    """
    $ oaflow plan --diff letters-abc234 letters.yml
    """,
    severity="warning",
)
SILENT_WORKER = rule(
    "OAF507",
    "silent-worker",
    "a live worker did not say whether it can run a task",
    """
    Workers are asked by a notification of the database, and have 15 seconds to import the function and answer. A
    worker that is busy with a long import, or that has an earlier version of oaflow, may not answer in time.
    """,
    """
    $ oaflow check letters.yml --db
    warning[OAF507] silent-worker: worker 3 on reader has not said whether it can run task 'letters.index'
    """,
    """
    $ oaflow doctor
    """,
    severity="warning",
)
NO_SERVICE = rule(
    "OAF508",
    "no-service",
    "no worker of a service could take the jobs of an external stage",
    """
    An external stage leaves its jobs on a queue for a service. No connected worker has its task, holds or has held a
    job of the queue, or could take anything. A run would wait there for one. Stages that the params switch off are
    not checked: `-p` sets params.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF508] no-service: no worker was seen that takes jobs of queue 'translate', where ...
    """,
    """
    $ PROCRASTINATE_APP=service.tasks.app procrastinate worker -q translate
    """,
)
UNSEEN_SERVICE = rule(
    "OAF509",
    "unseen-service",
    "it is not known whether a worker takes the jobs of an external stage",
    """
    Workers of services do not report which queues they work on. It is known only if a worker was started with
    `python -m oaflow.shim`, holds such a job, or has had one that is still in the table. Other workers are connected;
    whether they take these jobs will show with the first one.
    """,
    """
    $ oaflow check letters.yml --db
    warning[OAF509] unseen-service: no worker was seen that takes jobs of queue 'translate', where ...
      note: 2 other workers are connected, and may take them: their first job will show it
    """,
    """
    $ PROCRASTINATE_APP=service.tasks.app procrastinate worker -q translate
    """,
    severity="warning",
)
UNHEARD_SERVICE = rule(
    "OAF510",
    "unheard-service",
    "nothing records what a service hands over",
    """
    Triggers in the database, or the workers of the service themselves, record what the jobs of an external stage hand
    over and when they end. Here there is neither, so `oaflow run` would refuse to start.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF510] unheard-service: what stage 'translate' hands over would be lost: ...
    """,
    """
    $ oaflow db migrate --capture
    """,
)
