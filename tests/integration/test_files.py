"""
The archive of files: what is handed out, what is kept, and how it fails.
"""

import errno
import hashlib
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from oaflow.files import Archive, ArchiveOptions, ArchiveUnreachableError, MissingBlobError


@pytest.fixture
def archive(tmp_path):
    return Archive(ArchiveOptions(path=tmp_path / "archive"))


@pytest.fixture
def temp(tmp_path):
    (tmp_path / "temp").mkdir()
    return tmp_path / "temp"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.pdf"
    path.write_bytes(b"some bytes")
    return path


def stored(archive):
    return sorted(path for path in archive.options.path.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [0, 10, 2**16, 2**16 + 1, 3 * 2**20], ids=str)
def test_a_file_is_kept_under_the_hash_of_its_bytes_where_servicelayer_finds_it(archive, source, size):
    content = os.urandom(size)
    source.write_bytes(content)

    content_hash = archive.archive(source)

    assert content_hash == hashlib.sha1(content).hexdigest()
    from servicelayer.archive.file import FileArchive

    theirs = FileArchive(path=str(archive.options.path))
    assert theirs.load_file(content_hash).read_bytes() == content
    assert list(theirs.list_files()) == [content_hash]


def test_what_servicelayer_kept_is_found_and_not_kept_again(archive, source):
    from servicelayer.archive.file import FileArchive

    content_hash = FileArchive(path=str(archive.options.path)).archive_file(source)

    assert archive.archive(source) == content_hash
    assert [path.name for path in stored(archive)] == ["source.pdf"]
    with archive.open(content_hash) as handle:
        assert handle.read() == b"some bytes"


def test_a_tool_that_writes_to_the_path_or_deletes_it_leaves_the_original(archive, source, temp):
    content_hash = archive.archive(source)

    with archive.localpath(content_hash, temp=temp) as path:
        path.write_bytes(b"destroyed")
        path.chmod(0o000)
    with archive.localpath(content_hash, temp=temp) as path:
        path.unlink()
    with archive.localpath(content_hash, temp=temp) as path:
        subprocess.run(["truncate", "-s", "0", path], check=True)

    with archive.open(content_hash, temp=temp) as handle:
        assert handle.read() == b"some bytes"


def test_a_handle_cannot_be_written_to(archive, source, temp):
    with archive.open(archive.archive(source), temp=temp) as handle:
        assert not handle.writable()


@pytest.mark.parametrize("way", ["open", "localpath"])
def test_temporary_files_are_gone_after_the_block_also_after_an_exception(archive, source, temp, way):
    content_hash = archive.archive(source)
    with getattr(archive, way)(content_hash, temp=temp):
        pass
    assert list(temp.iterdir()) == []

    def fails():
        with archive.localpath(content_hash, temp=temp) as path:
            (path.parent / "left by a tool").mkdir()
            (path.parent / "left by a tool" / "more").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert list(temp.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "called"),
    [
        (None, "data"),
        ("", "data"),
        ("..", "data"),
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\docs\\report.pdf", "report.pdf"),
        ("report[/red].pdf", "red].pdf"),
        ("two\nlines.txt", "two\nlines.txt"),
        (".hidden", ".hidden"),
    ],
)
def test_the_copy_is_called_what_the_file_is_called_and_stays_in_its_folder(archive, source, temp, name, called):
    with archive.localpath(archive.archive(source), name=name, temp=temp) as path:
        assert path.name == called
        assert path.parent.parent == temp


def test_a_name_that_is_too_long_is_cut_and_keeps_its_extension(archive, source, temp):
    with archive.localpath(archive.archive(source), name="ü" * 300 + ".pdf", temp=temp) as path:
        assert path.suffix == ".pdf"
        assert path.read_bytes() == b"some bytes"


# --- a missing blob and an unreachable archive are two different errors


def test_a_file_that_the_archive_does_not_have_is_missing(archive, source):
    archive.archive(source)

    with pytest.raises(MissingBlobError, match="f" * 40), archive.open("f" * 40):
        pass


def test_an_archive_folder_that_is_not_there_is_unreachable_and_not_empty(archive):
    with pytest.raises(ArchiveUnreachableError, match="there is no such folder"), archive.open("f" * 40):
        pass
    assert not archive.options.path.exists()


def test_an_archive_that_is_a_file_is_unreachable(archive, source):
    archive.options.path.write_text("no folder")

    with pytest.raises(ArchiveUnreachableError), archive.localpath("f" * 40):
        pass
    with pytest.raises(ArchiveUnreachableError):
        archive.archive(source)


def test_an_error_in_the_block_is_not_taken_for_one_of_the_archive(archive, source):
    def fails():
        with archive.open(archive.archive(source)):
            raise PermissionError(errno.EACCES, "of the tool")

    with pytest.raises(PermissionError):
        fails()


def test_a_folder_that_may_not_be_entered_is_unreachable_without_the_right(archive, source):
    content_hash = archive.archive(source)
    archive.options.path.chmod(0o000)
    try:
        if os.access(archive.options.path, os.R_OK):
            pytest.skip("root reads every folder")
        with pytest.raises(ArchiveUnreachableError), archive.open(content_hash):
            pass
    finally:
        archive.options.path.chmod(0o755)


def test_a_bucket_that_cannot_be_asked_is_unreachable(monkeypatch):
    pytest.importorskip("boto3", reason="the client of S3 is an extra of servicelayer")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(ArchiveUnreachableError), Archive(ArchiveOptions(kind="s3", bucket="b")).open("f" * 40):
        pass


def test_a_kind_of_archive_whose_client_is_not_installed_is_unreachable_with_its_name():
    try:
        import google.cloud.storage  # noqa: F401  # only whether it is there
    except ImportError:
        with (
            pytest.raises(ArchiveUnreachableError, match="google"),
            Archive(ArchiveOptions(kind="gs", bucket="b")).open("f" * 40),
        ):
            pass
    else:
        pytest.skip("the client is installed")


def test_no_message_shows_the_keys_in_the_address_of_an_archive():
    uri = "s3://me:can/ary@bucket/folder?secret=canary"
    options = ArchiveOptions(kind="anystore", uri=uri)

    assert options.where == "s3://bucket/folder"
    assert options.told(ValueError(f"no such place: {uri}")) == "ValueError: no such place: s3://bucket/folder"
    assert "ary" not in repr(options)
    assert ArchiveOptions(kind="anystore", uri="/srv/archive").where == "/srv/archive"


# --- kept whole or not at all


def test_a_source_that_is_not_there_is_an_error_of_the_source(archive, tmp_path):
    with pytest.raises(FileNotFoundError):
        archive.archive(tmp_path / "vanished.pdf")


def test_many_workers_keep_the_same_file_at_once_and_no_reader_meets_half_of_it(archive, tmp_path):
    content = os.urandom(3 * 1024 * 1024)
    content_hash = hashlib.sha1(content).hexdigest()
    sources = [tmp_path / f"copy-{number}.bin" for number in range(8)]
    for path in sources:
        path.write_bytes(content)
    halves, done = [], threading.Event()

    def watch():
        while not done.is_set():
            for path in stored(archive) if archive.options.path.exists() else []:
                if ".incoming" not in path.parts and path.stat().st_size != len(content):
                    halves.append(path)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        hashes = set(pool.map(archive.archive, sources))
    done.set()
    watcher.join()

    assert hashes == {content_hash}
    assert halves == []
    assert len(stored(archive)) == 1


def test_half_a_file_that_a_lost_machine_left_is_written_again(archive, source):
    content_hash = archive.archive(source)
    stored(archive)[0].write_bytes(b"some")

    archive.archive(source)

    with archive.open(content_hash) as handle:
        assert handle.read() == b"some bytes"


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_nothing_behind_and_says_that_it_is_full(small_disk, tmp_path):
    archive = Archive(ArchiveOptions(path=small_disk / "archive"))
    big, small = tmp_path / "big", tmp_path / "small.txt"
    big.write_bytes(os.urandom(4 * 1024 * 1024))
    small.write_bytes(b"small")

    with pytest.raises(OSError, match="No space left") as caught:
        archive.archive(big)

    assert caught.value.errno == errno.ENOSPC
    assert stored(archive) == []
    content_hash = archive.archive(small)
    with archive.open(content_hash) as handle:
        assert handle.read() == b"small"


# --- taken out


def kept(archive, tmp_path, *contents):
    hashes = []
    for content in contents:
        (tmp_path / "kept").write_bytes(content)
        hashes.append(archive.archive(tmp_path / "kept"))
    return hashes


def test_what_is_taken_out_is_gone_with_its_folders_and_others_stay(archive, tmp_path):
    # So many have neighbours in the first two levels of folders.
    hashes = kept(archive, tmp_path, *(str(number).encode() for number in range(600)))
    staying = set(hashes[::3])

    archive.remove(["f" * 40, *(hash for hash in hashes if hash not in staying)])

    assert {path.parent.name for path in stored(archive)} == staying
    folders = {path for path in archive.options.path.rglob("*") if path.is_dir() and path.name != ".incoming"}
    assert folders == {parent for path in stored(archive) for parent in path.parents[:4]}
    archive.remove(staying)
    assert [path.name for path in archive.options.path.iterdir()] == [".incoming"]


def test_what_other_programs_called_it_is_taken_out_too(archive, tmp_path):
    (content_hash,) = kept(archive, tmp_path, b"some bytes")
    stored(archive)[0].rename(stored(archive)[0].with_name("source.pdf"))
    kept(archive, tmp_path, b"some bytes and more")
    (other,) = (path for path in stored(archive) if path.name == "data")
    (other.parent / "also.pdf").write_bytes(b"some bytes and more")

    archive.remove([content_hash, other.parent.name])

    assert stored(archive) == []
    assert [path.name for path in archive.options.path.iterdir()] == [".incoming"]


@pytest.mark.parametrize("gone", [1, 2, 3], ids=["the file", "and its folder", "and the one above"])
def test_what_was_cut_off_is_finished(archive, tmp_path, gone):
    (content_hash,) = kept(archive, tmp_path, b"some bytes")
    (file,) = stored(archive)
    file.unlink()
    for place in file.parents[: gone - 1]:
        place.rmdir()

    archive.remove([content_hash])

    assert [path.name for path in archive.options.path.iterdir()] == [".incoming"]


def test_several_are_taken_out_at_once_so_that_a_slow_disk_is_waited_for_together(archive, tmp_path, monkeypatch):
    hashes = kept(archive, tmp_path, *(str(number).encode() for number in range(8)))
    unlink, met = os.unlink, threading.Barrier(4, timeout=30)

    def waits(path, **options):
        met.wait()  # until others are here, too
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", waits)
    archive.remove(hashes)

    assert stored(archive) == []


def test_a_file_that_cannot_be_taken_out_is_told_and_can_be_taken_out_later(archive, tmp_path, monkeypatch):
    hashes = kept(archive, tmp_path, *(str(number).encode() for number in range(200)))

    def refuses(path, **options):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refuses)
    with pytest.raises(ArchiveUnreachableError, match="Permission denied"):
        archive.remove(hashes)
    monkeypatch.undo()

    assert len(stored(archive)) == 200
    archive.remove(hashes)
    assert stored(archive) == []
