"""
`index`: what the store knows of some entities becomes findable.
"""

from oaflow.dsl import stage
from oaflow.jobs import DatasetJob, current


@stage(queue="index")
def index(job: DatasetJob) -> DatasetJob:
    """
    Make the entities of a job findable, as the store has them now.
    """
    # Read again, not taken from the job: an entity may come here several times, and the latest must win.
    current().entities.index(job.dataset, job.load_entities(), documents=job.documents)
    return job
