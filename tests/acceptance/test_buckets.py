"""
An archive in a bucket: what speaks S3 is a process of its own, and what speaks to it is the real client.
"""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.acceptance.conftest import Command

KEY = "canaryofthekey"

SERVER = """
import time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
time.sleep(600)
"""


class Bucket:
    """
    A server of buckets, and the one that the archive is in.
    """

    name = "papers"

    def __init__(self, port: int) -> None:
        self.environment = {
            "ARCHIVE_TYPE": "s3",
            "ARCHIVE_BUCKET": self.name,
            "ARCHIVE_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "reader",
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": "eu-central-1",
        }
        self._client = boto3.client(
            "s3", endpoint_url=self.environment["ARCHIVE_ENDPOINT_URL"], region_name="eu-central-1",
            aws_access_key_id="reader", aws_secret_access_key=KEY,
        )  # fmt: skip

    def objects(self) -> dict[str, bytes]:
        listed = self._client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {one["Key"]: self._client.get_object(Bucket=self.name, Key=one["Key"])["Body"].read() for one in listed}


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", SERVER], **streams, text=True) as server:
        assert server.stdout is not None
        port = next(int(line) for line in server.stdout if line.strip().isdigit())
        yield Bucket(port)
        server.kill()


def test_a_dataset_in_a_bucket_is_read_skipped_when_unchanged_and_taken_out(cli: Command, bucket: Bucket) -> None:
    folder = cli.folder / "papers"
    folder.mkdir()
    (folder / "letter.txt").write_text("To Anna Kuhn, about a loan.")
    with zipfile.ZipFile(folder / "attic.zip", "w") as archive:
        archive.writestr("inner/note.txt", "A note on Zurich.")
    cli.environment |= bucket.environment

    first = cli("run", "ingest", "-d", "d", str(folder), "--workers", "1", "--json")

    assert first.code == 0, first.err
    assert cli("receipt", "--json").json["indexed"] == 3
    assert sorted(bucket.objects().values())[:1] == [b"A note on Zurich."]
    assert len(bucket.objects()) == 3
    assert not (cli.folder / "home" / "archive").exists()
    assert "letter.txt" in cli("search", "loan", "-d", "d").out
    again = cli("run", "ingest", "-d", "d", str(folder), "--workers", "1", "--json")
    assert (again.code, again.json["unchanged"]) == (0, 2)
    assert cli("delete", "-d", "d", "-y", "--files").code == 0
    assert bucket.objects() == {}
    for path in (cli.folder / "home").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_doctor_says_whether_the_archive_can_be_reached(cli: Command, bucket: Bucket, tmp_path: Path) -> None:
    def archive(**environment: str) -> tuple[str, str, str | None]:
        lines = map(json.loads, cli("doctor", "--json", env=environment).out.splitlines())
        (found,) = (line for line in lines if line["what"] == "archive")
        return found["level"], found["text"], found["help"]

    there = bucket.environment
    assert archive(**there) == ("fine", "s3://papers", None)
    level, text, help = archive(**there | {"ARCHIVE_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert (level, help) == ("problem", "look at ARCHIVE_* and AWS_*")
    assert text.startswith("s3://papers: EndpointConnectionError")
    nowhere = archive(**there | {"ARCHIVE_BUCKET": ""})
    assert nowhere == ("problem", "s3://: ARCHIVE_BUCKET is not set", "export ARCHIVE_BUCKET=...")
    level, text, help = archive(ARCHIVE_TYPE="anystore", ARCHIVE_URI=f"s3://reader:{KEY}@papers/d")
    assert (level, text) == ("problem", "s3://papers/d: anystore is not installed")
    assert help == "pip install 'openaleph-servicelayer[anystore]'"
    (tmp_path / "file").touch()
    assert archive(ARCHIVE_PATH=str(tmp_path / "file" / "archive"))[0] == "problem"
    assert archive(ARCHIVE_PATH=str(tmp_path / "fresh")) == ("fine", str(tmp_path / "fresh"), None)
    assert not (tmp_path / "fresh").exists()


def test_a_run_whose_archive_is_not_set_says_what_is_missing_and_not_that_there_are_no_documents(cli: Command) -> None:
    crawl = {"task": "oaflow.stages.crawl", "with": {"source": ["letter.txt"]}, "retry": 0}
    (cli.folder / "crawling.yml").write_text(json.dumps({"pipeline": "crawling", "stages": {"crawl": crawl}}))
    (cli.folder / "letter.txt").write_text("To Anna Kuhn, about a loan.")

    result = cli("run", "crawling.yml", "-d", "d", "--workers", "1", env={"ARCHIVE_TYPE": "s3", "ARCHIVE_BUCKET": ""})

    assert result.code == 1
    assert "the archive s3:// cannot be reached: ARCHIVE_BUCKET is not set" in " ".join(result.out.split())
    assert "no documents" not in result.out
