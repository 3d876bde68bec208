"""
Three stages that find the most frequent words of a folder of text files. Run: `oaflow run examples/words/pipeline.yml`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from oaflow import Job, Out, Reject, stage


@stage(emit="stream", ports=("default", "other"))
def files(job: Job, *, folder: str, pattern: str = "*.txt") -> Iterator[Job | Out]:
    """Name every file of a folder, one job each."""
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            follow_up = told(job, file=str(path))
            yield follow_up if path.match(pattern) else Out("other", follow_up)


@stage(retry=0)
def count(job: Job, *, at_least: int = 4) -> Job:
    """Count the words of a file that have some length."""
    path = Path(job.context["file"])
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        # Another attempt would read the same bytes.
        raise Reject(f"{path.name} is not UTF-8: {error}") from error
    words = Counter(word for word in re.findall(r"\w+", text.lower()) if len(word) >= at_least)
    return told(job, file=str(path), words=dict(words.most_common(3)))


@stage
def report(job: Job, *, result: str) -> None:
    """Write a file's words to a file of that name in the result folder."""
    folder = Path(result)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{times:5} {word}" for word, times in job.context.get("words", {}).items()]
    # Written as a whole: a job may run twice, and then the second time changes nothing.
    name = Path(job.context["file"]).name
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def told(job: Job, **context: object) -> Job:
    """
    The job that follows, with a context of its own. Where it goes is the pipeline's business.
    """
    return job.model_copy(update={"payload": {"context": {**job.context, **context}}})
