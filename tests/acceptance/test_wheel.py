"""
What a user of pip gets: the wheel alone holds the program, its pipelines and its sample documents.
"""

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.conftest import PATIENCE, ROOT, Command, Result


def built(source: Path, target: Path, kind: str) -> Path:
    """
    What hatchling, which is in the lock, builds: without network and without an environment of its own.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=PATIENCE)
    (found,) = target.iterdir()
    return found


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The wheel as packagers build it: from the sdist, which is whole if this one is.
    """
    folder = tmp_path_factory.mktemp("source")
    shutil.unpack_archive(sdist, folder)
    (source,) = folder.iterdir()
    return built(source, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture
def installed(tmp_path: Path, wheel: Path, home: Path, clean_environment: dict[str, str]) -> Command:
    """
    The command as it is in the wheel, in an empty folder: nothing of the checkout is on the path, no database is set.
    """
    package, folder = tmp_path / "package", tmp_path / "empty"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(package)
    environment = {"PYTHONPATH": str(package), "OAFLOW_HOME": str(home)}
    return Command(folder, clean_environment | environment)


# A command, and the program to run it with.
Plain = tuple[Command, tuple[str, ...]]

# The packages of the extra `documents` that followthemoney does not bring.
EXTRA = ("compressed_rtf", "kreuzberg", "libarchive", "olefile", "py3langid", "tnefparse")


@pytest.fixture
def plain(tmp_path: Path, wheel: Path, home: Path, clean_environment: dict[str, str]) -> Plain:
    """
    The command as `pip install oaflow` gives it, without the extra.
    """
    environment, folder = tmp_path / "environment", tmp_path / "empty"
    folder.mkdir()
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith((*EXTRA, "oaflow", "_")) and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    command = Command(folder, {key: value for key, value in clean_environment.items() if key != "PYTHONPATH"})
    command.environment["OAFLOW_HOME"] = str(home)
    return command, (str(environment / "bin" / "python"), "-P", "-m", "oaflow")


def names(path: Path) -> list[str]:
    """
    The files in a wheel or an sdist, as its reader sees them.
    """
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with tarfile.open(path) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def below(folder: Path) -> set[str]:
    # In bytes and back: a name that is not UTF-8 would differ in the list of a wheel.
    return {os.fsdecode(os.fsencode(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_wheel_alone_ingests_its_samples_in_an_empty_folder(installed: Command) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import oaflow; print(oaflow.__file__)"],
        cwd=installed.folder,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(installed.environment["PYTHONPATH"])

    run = installed("run", "ingest", "--dataset", "x", "--json")

    assert run.code == 0, run.err
    assert run.json["state"] == "finished"
    receipt = installed("receipt", "--json").json
    assert receipt["balanced"]
    assert receipt["indexed"] > len(below(ROOT / "examples" / "documents"))  # and what was unpacked from them
    assert not list(installed.folder.iterdir())

    hit: Result = installed("search", "sextant", "--dataset", "x", "--json")
    assert hit.code == 0, hit.err
    assert str(ROOT) not in hit.out


def test_without_the_extra_ingest_is_refused_before_anything_starts(plain: Plain, home: Path) -> None:
    command, program = plain

    checked = command("check", "ingest", program=program)
    run = command("run", "ingest", "-d", "x", program=program)

    assert checked.code == 1
    lacks = "'kreuzberg', 'libarchive', 'olefile' and 'tnefparse'"
    assert f"stage 'extract' needs {lacks}, which are not installed" in checked.out
    assert "stage 'analyze' needs 'py3langid', which is not installed" in checked.out
    assert checked.out.count("pip install 'oaflow[documents]'") == 2
    assert run.code == 2
    assert checked.out.splitlines()[0] in run.err
    assert run.help == "oaflow check ingest"
    assert not list(home.iterdir()), "a server was started for it"


def test_the_wheel_has_the_samples_and_pipelines_once_and_no_tests(wheel: Path) -> None:
    packed = names(wheel)

    assert not [name for name, count in Counter(packed).items() if count > 1]
    assert {name.split("/")[0] for name in packed if ".dist-info/" not in name} == {"oaflow"}
    for folder, place in (("pipelines", "oaflow/pipelines/"), ("examples/documents", "oaflow/samples/")):
        assert {name.removeprefix(place) for name in packed if name.startswith(place)} == below(ROOT / folder)
    assert not [name for name in packed if "__pycache__" in name or "test_" in name]


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    here = {f"oaflow/{name}" for name in below(ROOT / "oaflow") if "__pycache__" not in name}

    assert not here - set(names(wheel))


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        read = configparser.ConfigParser()
        read.read_string(archive.read(name).decode())

    assert dict(read["console_scripts"]) == {"oaflow": "oaflow.cli.main:main"}


def test_the_sdist_has_what_the_wheel_is_made_of_once_and_no_more(sdist: Path) -> None:
    packed = names(sdist)

    assert not [name for name, count in Counter(packed).items() if count > 1]
    assert {name.split("/")[0] for name in packed if "/" in name} == {"oaflow", "pipelines", "examples"}
    assert {name.split("/")[1] for name in packed if name.startswith("examples/")} == {"documents"}


def test_a_wheel_built_in_a_checkout_has_the_same_files(wheel: Path, tmp_path: Path) -> None:
    assert sorted(names(built(ROOT, tmp_path, "wheel"))) == sorted(names(wheel))
