"""
Phase 5: where the pipeline is to run, as `oaflow check --db` finds it: workers that live there, limits that hold, and
runs in flight.
"""

from oaflow.compiler.rules.declare import rule

NO_WORKER = rule(
    "OAF501",
    "no-worker",
    "no worker lives in the database",
    """
    A run that is started there waits until one comes: `oaflow worker` on a machine where the modules of the stages
    are installed. Workers that `oaflow run` brings along work on its own run only, and do not count. On the private
    server of a machine this is not told: there each run brings its workers.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF501] no-worker: no worker lives there: a run would wait for one
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
    Each live worker was asked, and tried to import the function. The notes say what each found. Jobs of the stage
    would wait until a worker comes that can. A worker that could not import a module tries it again only when it is
    started anew.
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
    "the workers that can run a task know other formats of plans",
    """
    A worker takes only jobs of runs whose plan is of a format that it knows. These come with an earlier or a later
    version of oaflow: the one that checks and the workers are to be of one version.
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
    Annotations are compared as they are written, with their modules.
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
    "less of a task is done at once than the plan says",
    """
    What an operator said with `oaflow limit` holds before what a plan says; without that, the smallest of what the
    plans of the open runs say. So `concurrency` or `rate` of this stage would have no effect there. A limit that
    is a param is compared with its default, or with what `-p` gives it.
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
    "a run in flight goes on by an older plan of the pipeline",
    """
    A run keeps the plan it started with. `oaflow plan --diff RUN PIPELINE` says in words what changed since. The
    run may go over to the new plan where each of its jobs, wherever it waits, is then where the run would have it;
    what stands in the way of that is in the notes.
    """,
    """
    $ oaflow check letters.yml --db
    warning[OAF506] older-run: run letters-abc234 goes on by an older plan, and may not move to this one
      note: stage 'index' is another task, and jobs may wait on queue 'index' for letters.search
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
    Workers are asked by a notification of the database, and answer when they have imported the function, which is
    waited for 15 seconds. One that is busy with a long import, or of an earlier version of oaflow, may not answer
    in time.
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
    "no worker of a service lives that could take the jobs of an external stage",
    """
    An external stage leaves its jobs on a queue to a service of others. No worker lives in the database that has its
    task, that has a job of the queue in hand or has had one, or of which it is not known what it takes. A run would
    wait there until one comes. A stage that the params of the run switch off is not asked for: `-p` gives them values.
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
    "no row says that a worker takes the jobs of an external stage",
    """
    Workers of services do not say which queues they work on. That one takes the jobs of a queue is known where it was
    started with `python -m oaflow.shim`, has such a job in hand, or has had one that is still in the table. Others
    live, and whether they take these jobs shows with the first one.
    """,
    """
    $ oaflow check letters.yml --db
    warning[OAF509] unseen-service: no worker was seen that takes jobs of queue 'translate', where ...
      note: 2 workers live of which no row says what they take, as none does before the first such job
    """,
    """
    $ PROCRASTINATE_APP=service.tasks.app procrastinate worker -q translate
    """,
    severity="warning",
)
UNHEARD_SERVICE = rule(
    "OAF510",
    "unheard-service",
    "nothing sees what a service hands over",
    """
    What the jobs of an external stage hand over, and when they end, is taken down by triggers in the database, or by
    their service's workers themselves. Here is neither, so `oaflow run` would refuse to begin.
    """,
    """
    $ oaflow check letters.yml --db
    error[OAF510] unheard-service: what stage 'translate' hands over would be lost: ...
    """,
    """
    $ oaflow db migrate --capture
    """,
)
