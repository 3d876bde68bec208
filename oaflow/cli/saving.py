"""
`backup`, `restore`: for who has to be able to go back.
"""

from pathlib import Path
from typing import Annotated

import typer

from oaflow import operations
from oaflow.cli.options import Json, settings
from oaflow.cli.pages import add_command


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "backup", backup, "oaflow backup monday.tar", "Operating")
    add_command(app, "restore", restore, "OAFLOW_HOME=/srv/again oaflow restore monday.tar", "Operating")


def backup(
    target: Annotated[
        Path,
        typer.Argument(metavar="FILE|FOLDER", help="A new file, or a folder for a file named after the time."),
    ],
    json: Json = False,
) -> int:
    """
    Back up the database, the archived files and the reports of the data folder to one file; runs may go on
    meanwhile. It does not back up a database server.
    """
    from shlex import quote

    from oaflow.cli.output import clean, count, remark, say, say_json
    from oaflow.quantities import data_size

    done = operations.backup(target, settings=settings())
    if json:
        say_json(done.as_json())
    else:
        say(clean(str(done.file)))
    remark(f"the database ({data_size(done.database)}) and {count(done.files, 'file')} ({data_size(done.size)})")
    for sentence in done.absent:
        remark(sentence, "yellow")
    remark(f"help:  OAFLOW_HOME=NEW_FOLDER oaflow restore {clean(quote(str(done.file)))}")
    return 0


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that oaflow backup wrote.")],
    json: Json = False,
) -> int:
    """
    Restore the data folder, which must be empty, from a backup. Runs that had not ended continue from the moment of
    the backup, once you resume them.
    """
    from datetime import datetime

    from oaflow.cli.output import clean, count, remark, say_json
    from oaflow.operations.backups import differing_settings

    known = settings()
    done = operations.restore(source, settings=known)
    if json:
        say_json(done.as_json())
    taken = datetime.fromtimestamp(done.facts.taken).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    remark(f"{clean(str(known.home))} is as it was at {taken}: the database, and {count(done.files, 'file')}")
    if done.came_back:
        remark(f"{count(done.came_back, 'job')} that a worker held at that time will run again")
    for change in differing_settings(known, done.facts.settings):
        remark(f"it was taken with {clean(change)}", "yellow")
    if not done.facts.archive:
        remark("it does not contain the files of the archive", "yellow")
    remark("help:  oaflow status --all")
    return 0
