"""
Run the tests that failed three more times, alone: `python tools/second_look.py`, after a test run.

Of thousands of tests that start processes on two cores, one sometimes fails only because the machine is busy. Nothing
is hidden: the failed tests are named, one that fails once more fails the run, and so do more than three tests.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
MOST, TIMES = 3, 3


def failed() -> list[str]:
    """
    The tests that failed in the last run; a file that could not be collected counts as one.
    """
    try:
        return sorted(json.loads(FAILED.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []


def main() -> int:
    """
    Returns:
        0 if there are few of them and each passes every time, else 1.
    """
    tests = failed()
    if not 0 < len(tests) <= MOST:
        print(f"{len(tests)} tests failed: only 1 to {MOST} are run again.", flush=True)
        return 1
    print(f"Running what failed {TIMES} more times, alone:", *tests, sep="\n  ", flush=True)
    alone = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
    for _ in range(TIMES):
        if subprocess.run(alone, cwd=ROOT, check=False).returncode != 0:
            return 1
    print("Each passed alone. Fix them all the same:", *tests, sep="\n  ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
