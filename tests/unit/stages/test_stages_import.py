"""
What a forkserver preloads must start no thread, and what the compiler looks at must be quick to load.
"""

import subprocess
import sys

from oaflow import stages
from oaflow.model import stage_options

_HEAVY = ("followthemoney", "kreuzberg", "py3langid", "numpy", "phonenumbers", "chardet", "procrastinate", "psycopg")


def test_importing_the_stages_loads_nothing_heavy_and_starts_no_thread():
    looks = f"[m for m in {_HEAVY!r} if m in sys.modules], len(os.listdir('/proc/self/task'))"
    code = f"import oaflow.stages, sys, os; print({looks})"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    assert said.strip() == "[] 1"


def test_each_stage_is_named_by_its_dotted_path_in_the_package():
    for name in stages.__all__:
        function = getattr(stages, name)

        assert f"{function.__module__}.{function.__qualname__}" == f"oaflow.stages.{name}"
        assert stage_options(function) is not None


def test_crawl_streams_and_extract_has_a_port_for_children():
    assert stage_options(stages.crawl).emit == "stream"
    assert stage_options(stages.extract).ports == ("default", "children")
