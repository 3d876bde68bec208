"""
What stands in `deploy/` fits the program and the lock, and its own tools find nothing in it.
"""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from oaflow.cli.main import app
from oaflow.operations.health import LOOPBACK, health_address
from oaflow.runtime.supervisor import DRAIN_SECONDS
from oaflow.runtime.vitals import LENIENCE
from oaflow.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT, PAGE = DEPLOY / "oaflow-worker.service", DEPLOY / "oaflow-web.service"

# The supervisor's own end, after its workers': the private server, where it is used, is stopped then.
SPARE = 10.0


def unit(path: Path = UNIT) -> configparser.ConfigParser:
    # A name may stand several times: the last one counts here.
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=False)
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]  # names keep their case
    parser.read(path, "utf-8")
    return parser


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))


def instructions() -> list[tuple[str, str]]:
    """
    The instructions of the Containerfile, each on one line, without comments.
    """
    lines = [line for line in (DEPLOY / "Containerfile").read_text("utf-8").splitlines() if not re.match(r"\s*#", line)]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def value_of(name: str) -> str:
    """
    What an instruction says that stands once in the last stage.
    """
    found = instructions()
    last = max(index for index, (one, _) in enumerate(found) if one == "FROM")
    (value,) = [rest for one, rest in found[last:] if one == name]
    return value


def typed(command: list[str]) -> dict[str, Any]:
    """
    The values of a command line, read as the program reads it.
    """
    root: Any = typer.main.get_command(app)
    name, *arguments = command
    return root.commands[name].make_context(name, arguments).params


def health_of(command: list[str]) -> tuple[str, int]:
    """
    Where a worker's command line has it answer.
    """
    return health_address(typed(command)["health"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
@pytest.mark.parametrize("path", [UNIT, PAGE])
def test_systemd_finds_nothing_in_the_unit(path: Path, tmp_path: Path) -> None:
    here = tmp_path / path.name
    here.write_text(path.read_text().replace("/opt/oaflow/bin/oaflow", f"{sys.prefix}/bin/oaflow"))

    done = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed here")
def test_systemd_makes_the_account_of_the_unit() -> None:
    file = DEPLOY / "oaflow.sysusers.conf"

    done = subprocess.run(["systemd-sysusers", "--dry-run", str(file)], capture_output=True, text=True, check=False)

    account = unit()["Service"]["User"]
    assert done.returncode == 0
    assert f"group '{account}'" in done.stdout + done.stderr


def test_a_worker_has_drained_before_it_is_killed() -> None:
    service = unit()["Service"]
    grace = compose()["services"]["worker"]["stop_grace_period"]

    assert float(service["TimeoutStopSec"]) >= DRAIN_SECONDS + SPARE
    assert float(grace.removesuffix("s")) >= DRAIN_SECONDS + SPARE
    # A signal to the whole group would reach workers twice, and the second ends them at once.
    assert (service["KillMode"], service["Type"], service["NotifyAccess"]) == ("mixed", "notify", "main")
    assert value_of("STOPSIGNAL") == "SIGTERM"
    assert value_of("ENTRYPOINT") == '["tini", "--", "oaflow"]'


def test_a_stuck_worker_is_known_before_it_is_restarted() -> None:
    # Pings cease after this; who is restarted earlier was only slow.
    assert float(unit()["Service"]["WatchdogSec"]) >= Settings.model_fields["dead_after"].default * LENIENCE


def test_commands_are_those_of_the_program_and_probes_ask_where_they_answer() -> None:
    program, *command = shlex.split(unit()["Service"]["ExecStart"])
    contained = yaml.safe_load(value_of("CMD"))
    services = compose()["services"]
    probe = services["worker"]["healthcheck"]["test"]

    assert Path(program).name == "oaflow"
    assert health_of(command)[0] == LOOPBACK
    host, port = health_of(contained)
    assert (host, str(port)) == ("0.0.0.0", value_of("EXPOSE"))
    assert f"http://127.0.0.1:{port}/live" in probe[-1]
    assert "command" not in services["worker"]  # that of the image, which the probe asks
    assert services["schema"]["command"] == ["db", "migrate"]


def test_the_page_is_a_service_of_its_own_that_only_this_machine_reaches() -> None:
    service, worker = unit(PAGE)["Service"], unit()["Service"]
    shown = compose()["services"]["web"]
    _, *command = shlex.split(service["ExecStart"])
    contained, (published,) = typed(shown["command"]), shown["ports"]

    assert command[0] == shown["command"][0] == "web"
    assert typed(command)["host"] == LOOPBACK
    # In a container loopback is its own; what is published is the machine's, and asks for a password.
    assert contained["host"] == "0.0.0.0"
    assert published == f"{LOOPBACK}:{contained['port']}:{contained['port']}"
    assert shown["environment"]["OAFLOW_WEB_PASSWORD"].startswith("${OAFLOW_WEB_PASSWORD:?")
    assert f"http://{LOOPBACK}:{contained['port']}/static/" in shown["healthcheck"]["test"][-1]
    # It may do no more than workers, which read documents of strangers.
    begin = UNIT.read_text().index("UMask=")
    assert PAGE.read_text().endswith(UNIT.read_text()[begin:])
    assert (service["User"], service["StateDirectory"]) == (worker["User"], worker["StateDirectory"])


def test_the_archive_that_containers_share_can_be_written_to() -> None:
    (made,) = [rest for name, rest in instructions() if name == "RUN" and "useradd" in rest]
    archive = compose()["x-environment"]["ARCHIVE_PATH"]

    assert re.search(rf"install -d -o oaflow -g oaflow -m \d+ {archive}(\s|$)", made)
    assert f"archive:{archive}" in compose()["x-oaflow"]["volumes"]


def test_the_container_is_not_root_and_its_account_has_a_name() -> None:
    (made,) = [rest for name, rest in instructions() if name == "RUN" and "useradd" in rest]
    uid, _, gid = value_of("USER").partition(":")

    assert f"useradd --uid {uid} --gid oaflow " in made
    assert f"groupadd --gid {gid} oaflow " in made
    assert int(uid) >= 1000


def test_what_is_installed_in_the_container_has_the_hashes_of_the_lock() -> None:
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    parts = [part for line in installs for part in line.split("&&") if "pip install" in part]

    for part in parts:
        locked = re.search(r"--require-hashes -r (\S+)", part)
        assert locked is not None or "--no-deps --no-build-isolation ." in part, part
        assert locked is None or (ROOT / locked[1]).is_file()
    copied = {word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]}
    assert all((ROOT / one).exists() for one in copied if not one.startswith(("-", "/")))


def test_the_compose_file_has_a_database_and_two_workers_that_wait_for_its_schema() -> None:
    services = compose()["services"]

    assert services["worker"]["deploy"] == {"mode": "replicated", "replicas": 2}  # without mode podman-compose has one
    assert set(services["worker"]["depends_on"]) == set(services["web"]["depends_on"]) == {"database", "schema"}
    for service in services.values():
        for volume in service.get("volumes", ()):
            name = volume.partition(":")[0]
            assert name.startswith("$") or name in compose()["volumes"]
    # No password stands in the file.
    assert re.findall(r"(?:PASSWORD|SECRET): +(?!\"\$\{)\S+", (DEPLOY / "compose.yml").read_text()) == []
