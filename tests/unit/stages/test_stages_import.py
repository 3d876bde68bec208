"""
What a forkserver preloads must start no thread, and what the compiler looks at must be quick to load.
"""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

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


def test_what_the_stages_need_beside_oaflow_itself_is_all_that_the_extra_brings():
    trees = [ast.parse(path.read_bytes()) for path in Path(stages.__file__).parent.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    project = tomllib.loads((Path(stages.__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extra = {line.partition(">=")[0] for line in project["optional-dependencies"]["documents"]}
    brought = {module for module, names in packages_distributions().items() if extra & set(names)}

    needed = {module for _, modules in stages.__needs__.values() for module in modules}

    assert needed == {name.partition(".")[0] for name in imported} & brought
    assert {package for package, _ in stages.__needs__.values()} == {"oaflow[documents]"}
