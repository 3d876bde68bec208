"""
Logs that nobody has written to for so long go, and no others.
"""

import os
import subprocess
import sys
from pathlib import Path

from oaflow.runtime.oldlogs import remove_old_logs

DAY = 86_400.0
NOW = 1_000 * DAY


def log(folder: Path, name: str, days: float) -> None:
    (folder / name).write_text("line\n")
    os.utime(folder / name, (NOW - days * DAY, NOW - days * DAY))


def test_logs_of_runs_and_workers_go_when_they_are_too_old(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name in ("old-aaaaaa.jsonl", f"worker-{ended.pid}-1.log", "worker-odd.log"):
        log(tmp_path, name, 90.1)
    for name in ("new-aaaaaa.jsonl", f"worker-{ended.pid}-2.log"):
        log(tmp_path, name, 89.9)

    remove_old_logs(tmp_path, 90, NOW, ())

    assert {file.name for file in tmp_path.iterdir()} == {"new-aaaaaa.jsonl", f"worker-{ended.pid}-2.log"}


def test_what_is_still_wanted_stays_however_old_it_is(tmp_path):
    kept = {"open-aaaaaa.jsonl", "worker.jsonl", f"worker-{os.getpid()}-1.log", "notes.txt"}
    for name in kept:
        log(tmp_path, name, 200)

    remove_old_logs(tmp_path, 90, NOW, ["open-aaaaaa"])

    assert {file.name for file in tmp_path.iterdir()} == kept


def test_there_need_be_no_folder(tmp_path):
    remove_old_logs(tmp_path / "logs", 90, NOW, ())
