"""The ends of streams: file objects, names, descriptors, and things that are none of them."""

from __future__ import annotations

import errno
import gzip
import inspect
import io
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import rbd
from rbd import transfer
from support.stream_files import WRAPPED, contents, make_diff

MIB = 1 << 20
SIZE = 300_000

FIRST = make_diff([("w", 5, b"first" * 9000), ("z", 90_000, 70)], size=SIZE, end="s")
SECOND = make_diff([("w", 9, b"second" * 20)], size=SIZE, start="s")


@pytest.fixture
def image(rbd_ioctx: Any) -> Any:
    """Provide an image of an odd size, with data, zeroes and an end."""
    rbd.RBD().create(rbd_ioctx, "ends", SIZE, 16)
    with rbd.Image(rbd_ioctx, "ends") as image:
        image.write(os.urandom(100_000), 1000)
        image.write(b"end", SIZE - 3)
        yield image


def read(wrapper: str, path: Path) -> bytes:
    """Return what a wrapper reads, without any transfer."""
    with WRAPPED[wrapper](path, "rb") as file:
        if isinstance(file, int):
            return os.pread(file, 10 * SIZE, 0)
        if isinstance(file, (str, Path)):
            return Path(file).read_bytes()
        return bytes(file.read(10 * SIZE))


def write(wrapper: str, path: Path, data: bytes) -> None:
    """Write what a wrapper then reads, without any transfer."""
    with WRAPPED[wrapper](path, "wb") as file:
        if isinstance(file, int):
            os.write(file, data)
        elif isinstance(file, (str, Path)):
            Path(file).write_bytes(data)
        else:
            file.write(data)


# File objects


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_exports_go_through_each_kind_of_file(
    image: rbd.Image, tmp_path: Path, wrapper: str
) -> None:
    data = image.read(0, SIZE)
    for call, expected in (
        (transfer.export_image, data),
        (lambda image, file: transfer.export_image(image, file, export_format=2), None),
        (transfer.export_diff, None),
        (
            lambda image, file: transfer.merge_diff(io.BytesIO(FIRST), io.BytesIO(SECOND), file),
            None,
        ),
    ):
        if expected is None:
            plain = io.BytesIO()
            call(image, plain)
            expected = plain.getvalue()
        path = tmp_path / "stream"
        with WRAPPED[wrapper](path, "wb") as file:
            call(image, file)
        assert read(wrapper, path) == expected
    assert [entry.name for entry in tmp_path.iterdir()] == ["stream"]


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_imports_go_through_each_kind_of_file(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Path, wrapper: str
) -> None:
    data = image.read(0, SIZE)
    paths = [tmp_path / "first", tmp_path / "second"]
    write(wrapper, paths[0], data)
    with WRAPPED[wrapper](paths[0], "rb") as file:
        transfer.import_image(file, rbd_ioctx, "copy")
    assert contents(rbd_ioctx, "copy") == data

    for path, stream in zip(paths, (FIRST, SECOND)):
        write(wrapper, path, stream)
    plain, wrapped = io.BytesIO(), io.BytesIO()
    transfer.merge_diff(io.BytesIO(FIRST), io.BytesIO(SECOND), plain)
    with WRAPPED[wrapper](paths[0], "rb") as first, WRAPPED[wrapper](paths[1], "rb") as second:
        transfer.merge_diff(first, second, wrapped)
    assert wrapped.getvalue() == plain.getvalue()
    expected = bytearray(data)
    expected[5:45_005] = b"first" * 9000
    expected[9:129] = b"second" * 20
    expected[90_000:90_070] = bytes(70)
    for path in paths:
        with WRAPPED[wrapper](path, "rb") as file:
            transfer.import_diff(file, image)
    assert image.read(0, SIZE) == expected


def test_a_named_temporary_file_gets_holes(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"x" * 4096, 5 * MIB)
    with tempfile.NamedTemporaryFile() as file:
        transfer.export_image(rbd_image, file)
        file.flush()
        status = os.stat(file.name)
        assert status.st_size == rbd_image.size() == file.tell()
        assert status.st_blocks * 512 < MIB


class Taking(io.RawIOBase):
    """A destination that returns a given result from write()."""

    def __init__(self, count: int) -> None:
        self.count = count

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.count


class Giving:
    """A source that returns a given result from read()."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def read(self, size: int) -> Any:
        return self.answer


@pytest.mark.timeout(60)
@pytest.mark.parametrize("count", [0, -1, 1 << 40])
def test_a_destination_that_takes_nothing_ends_an_export(image: rbd.Image, count: int) -> None:
    with pytest.raises(OSError, match=f"reports {count} bytes") as caught:
        transfer.export_image(image, Taking(count))
    assert caught.value.position == 0  # type: ignore[attr-defined]


def test_a_source_that_returns_something_else_is_refused(rbd_ioctx: Any) -> None:
    for answer, error in (("text", TypeError), (7, TypeError), (b"x" * (1 << 22), ValueError)):
        with pytest.raises(error, match="source"):
            transfer.import_image(Giving(answer), rbd_ioctx, "never")
    assert rbd.RBD().list(rbd_ioctx) == []


# Names


@pytest.fixture
def script(
    rbd_cluster: Any, rbd_ioctx: Any, image: rbd.Image, tmp_path: Path
) -> Callable[..., str]:
    """Return a function for the command line of a program that exports or imports the image by
    name."""
    image.flush()
    program = tmp_path.parent / f"{tmp_path.name}.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import sys, rbd
            ioctx = rbd.connect({str(rbd_cluster.conffile)!r}).open_ioctx(
                {rbd_ioctx.get_pool_name()!r})
            ioctx.set_namespace({rbd_ioctx.get_namespace()!r})
            if sys.argv[1] == "import":
                rbd.transfer.import_image(sys.argv[2], ioctx, "from-a-name")
            else:
                with rbd.Image(ioctx, "ends", read_only=True) as image:
                    if sys.argv[1] == "export":
                        rbd.transfer.export_image(image, sys.argv[2])
                    else:
                        rbd.transfer.export_diff(image, sys.argv[2])
            """
        )
    )

    def line(*arguments: str) -> str:
        return shlex.join([sys.executable, str(program), *arguments])

    return line


def bash(line: str, **options: Any) -> None:
    subprocess.run(["bash", "-ec", line], check=True, timeout=100, **options)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("how", [">", ">>"])
def test_standard_output_is_written_by_its_name(
    image: rbd.Image, script: Any, tmp_path: Path, name: str, how: str
) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old" * 200_000)
    if name == "link":
        name = str(tmp_path / "link")
        os.symlink("/dev/stdout", name)
    listed = sorted(tmp_path.iterdir())
    bash(f"(printf head; {script('export', name)}; printf tail) {how} {out}")
    kept = b"old" * 200_000 if how == ">>" else b""
    assert out.read_bytes() == kept + b"head" + image.read(0, SIZE) + b"tail"
    assert sorted(tmp_path.iterdir()) == listed


def test_process_substitution_is_written_by_its_name(
    image: rbd.Image, script: Any, tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    # The shell does not wait for the process.
    done = tmp_path / "done"
    bash(
        f"mkfifo {done}; eval {shlex.quote(script('export'))} >(gzip > {packed}; echo > {done});"
        f" read < {done}"
    )
    assert gzip.decompress(packed.read_bytes()) == image.read(0, SIZE)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["done", "packed"]


def test_standard_input_is_read_by_its_name(
    image: rbd.Image, rbd_ioctx: Any, script: Any, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    transfer.export_image(image, raw)
    bash(f"eval {shlex.quote(script('import'))} <(cat {raw})")
    assert contents(rbd_ioctx, "from-a-name") == image.read(0, SIZE)
    rbd.RBD().remove(rbd_ioctx, "from-a-name")
    bash(f"{script('import', '/dev/stdin')} < {raw}")
    assert contents(rbd_ioctx, "from-a-name") == image.read(0, SIZE)


def test_sockets_are_used_by_their_names(image: rbd.Image, rbd_ioctx: Any) -> None:
    # Names in /proc cannot be used to open a socket.
    ours, theirs = socket.socketpair()

    def feed() -> None:
        with theirs:
            transfer.export_image(image, f"/dev/fd/{theirs.fileno()}")

    thread = threading.Thread(target=feed)
    thread.start()
    with ours:
        transfer.import_image(f"/proc/self/fd/{ours.fileno()}", rbd_ioctx, "copy")
    thread.join(60)
    assert contents(rbd_ioctx, "copy") == image.read(0, SIZE)


def test_a_descriptor_of_another_process_is_used_by_its_name(
    image: rbd.Image, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old" * 200_000)
    inode = path.stat().st_ino
    with (
        path.open("r+b") as file,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat,
    ):
        try:
            transfer.export_image(image, f"/proc/{cat.pid}/fd/1")
        finally:
            cat.communicate(timeout=60)
    assert path.read_bytes() == image.read(0, SIZE)
    assert path.stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [path]


def test_a_descriptor_that_is_read_only_is_opened_by_its_name(
    image: rbd.Image, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old" * 200_000)
    with path.open("rb") as file:
        transfer.export_image(image, f"/dev/fd/{file.fileno()}")
        assert file.read() == image.read(0, SIZE)


def test_a_fifo_is_written_in_place(image: rbd.Image, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    found: List[bytes] = []
    thread = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    thread.start()
    transfer.export_image(image, fifo)
    thread.join(60)
    assert found == [image.read(0, SIZE)]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert list(tmp_path.iterdir()) == [fifo]


@pytest.fixture
def block_device(tmp_path: Path) -> Any:
    """Provide a loop device of 1 MiB, if this process may make one."""
    backing = tmp_path / "backing"
    backing.write_bytes(b"old!" * (MIB // 4))
    made = subprocess.run(
        ["losetup", "--find", "--show", str(backing)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no loop device can be made: {made.stderr.strip()}")
    device = made.stdout.strip()
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)


def test_a_block_device_is_written_in_place(image: rbd.Image, block_device: str) -> None:
    transfer.export_image(image, block_device)
    with open(block_device, "rb") as file:
        assert file.read(SIZE) == image.read(0, SIZE)
    assert stat.S_ISBLK(os.stat(block_device).st_mode)


def test_symbolic_links_stay(image: rbd.Image, tmp_path: Path) -> None:
    data = image.read(0, SIZE)
    there, links = tmp_path / "there", tmp_path / "links"
    there.mkdir()
    links.mkdir()
    (there / "file").write_bytes(b"old")
    (there / "file").chmod(0o640)
    os.symlink("../there/file", links / "one")
    os.symlink("one", links / "two")
    os.symlink("../there/new", links / "dangling")
    for link, name in (("two", "file"), ("dangling", "new"), (b"two", "file")):
        before = (there / name).stat().st_ino if (there / name).exists() else None
        transfer.export_image(
            image,
            os.path.join(
                type(link)(os.fsencode(links)) if isinstance(link, bytes) else str(links), link
            ),
        )
        assert (there / name).read_bytes() == data
        assert (there / name).stat().st_ino != before
    assert stat.S_IMODE((there / "file").stat().st_mode) == 0o640
    assert sorted(os.listdir(there)) == ["file", "new"]
    assert sorted(os.listdir(links)) == ["dangling", "one", "two"]
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(OSError, match="loop") as caught:
        transfer.export_image(image, tmp_path / "loop")
    assert caught.value.errno == errno.ELOOP


def test_the_working_directory_may_change_during_a_transfer(
    image: rbd.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    transfer.export_image(image, "file", on_progress=lambda done, total: os.chdir(tmp_path / "two"))
    assert os.listdir(tmp_path / "one") == ["file"]
    assert os.listdir(tmp_path / "two") == []


def test_impossible_names_are_refused(image: rbd.Image, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    for name, error in (
        ("", FileNotFoundError),
        (str(tmp_path), IsADirectoryError),
        (str(tmp_path / "none") + "/", OSError),
        (str(tmp_path / "none" / "file"), FileNotFoundError),
        (str(tmp_path / "file" / "file"), NotADirectoryError),
        (str(tmp_path / ("x" * 300)), OSError),
        ("nul\0", ValueError),
    ):
        with pytest.raises(error):
            transfer.export_image(image, name)
    assert os.listdir(tmp_path) == ["file"]
    # The longest possible names, also with characters of several bytes.
    for name in ("x" * 255, "\u20ac" * 85):
        transfer.export_image(image, tmp_path / name)
        assert (tmp_path / name).stat().st_size == SIZE


# Durability


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Provide a record of the calls on files in order: ("fsync", mode), ("close", fd), ("replace",
    name)."""
    done: List[Any] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(fd: int) -> None:
        done.append(("fsync", stat.S_IFMT(os.fstat(fd).st_mode)))
        fsync(fd)

    def noted_replace(source: Any, dest: Any, **options: Any) -> None:
        done.append(("replace", dest))
        replace(source, dest, **options)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return done


def exports(image: Any) -> Dict[str, Callable[..., Any]]:
    return {
        "export_image": lambda dest, **options: transfer.export_image(image, dest, **options),
        "export_diff": lambda dest, **options: transfer.export_diff(image, dest, **options),
        "merge_diff": lambda dest, **options: transfer.merge_diff(
            io.BytesIO(FIRST), io.BytesIO(SECOND), dest, **options
        ),
    }


@pytest.mark.parametrize("call", exports(None))
def test_a_file_is_on_the_disk_before_it_has_its_name(
    image: rbd.Image, tmp_path: Path, steps: List[Any], call: str
) -> None:
    export = exports(image)[call]
    durable = [("fsync", stat.S_IFREG), ("replace", "file"), ("fsync", stat.S_IFDIR)]
    for _ in range(2):  # a new file, and one that is replaced
        export(tmp_path / "file")
        assert steps == durable
        steps.clear()
    export(tmp_path / "file", fsync=False)
    assert steps == [("replace", "file")]
    steps.clear()
    # The caller's file is the caller's to synchronize, and other destinations have no disk.
    with (tmp_path / "other").open("wb") as file:
        export(file)
        export(file.fileno())
    export("/dev/null")
    assert steps == []


def test_a_file_and_its_name_are_on_the_disk_after_apply_diff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: List[Any] = []
    fsync = os.fsync

    def noted_fsync(fd: int) -> None:
        done.append(os.fstat(fd).st_ino)
        fsync(fd)

    def apply(path: Any, stream: bytes = FIRST, **options: Any) -> None:
        # The working directory may change until the end.
        monkeypatch.chdir(tmp_path)
        transfer.apply_diff(
            io.BytesIO(stream),
            path,
            on_progress=lambda done, total: os.chdir(elsewhere),
            **options,
        )

    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    os.symlink("there/file", tmp_path / "link")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    # The link leads to a file that the first difference creates, and the second one changes.
    for stream in (FIRST, SECOND):
        apply("link", stream)
        assert done == [(there / "file").stat().st_ino, there.stat().st_ino]
        done.clear()
    apply("new")
    assert done == [(tmp_path / "new").stat().st_ino, tmp_path.stat().st_ino]
    done.clear()
    apply("new", fsync=False)
    assert done == []
    # An open file has no name that could be lost.
    with (tmp_path / "new").open("r+b") as file:
        inode = os.fstat(file.fileno()).st_ino
        os.unlink(tmp_path / "new")
        apply(f"/dev/fd/{file.fileno()}", SECOND)
    assert done == [inode]
    assert os.listdir(elsewhere) == []
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "link", "there"]


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR])
def test_a_failing_disk_is_an_error(
    image: rbd.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    path = tmp_path / "file"
    fsync = os.fsync
    answer = errno.EIO

    def failing(fd: int) -> None:
        if stat.S_IFMT(os.fstat(fd).st_mode) == kind:
            raise OSError(answer, os.strerror(answer))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", failing)
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="byte") as caught:
        transfer.export_image(image, path)
    assert caught.value.errno == errno.EIO
    # The new file has its name, although the name may be lost. Both files are complete.
    assert path.read_bytes() == (b"old" if kind == stat.S_IFREG else image.read(0, SIZE))
    assert os.listdir(tmp_path) == ["file"]
    # Some file systems do not have fsync.
    answer = errno.EINVAL
    transfer.export_image(image, path)
    assert path.read_bytes() == image.read(0, SIZE)


@pytest.mark.timeout(60)
def test_a_signal_ends_the_wait_for_a_slow_disk(
    image: rbd.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    goes_on = threading.Event()
    begun = threading.Event()

    def slow(fd: int) -> None:
        begun.set()
        goes_on.wait(50)

    def interrupt() -> None:
        begun.wait(50)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(os, "fsync", slow)
    thread = threading.Thread(target=interrupt)
    thread.start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            transfer.export_image(image, path)
        assert not goes_on.is_set()
        assert time.monotonic() - started < 40
    finally:
        goes_on.set()
        thread.join()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


# Wrong arguments


class Untouched(io.RawIOBase):
    """A file object that must not be touched."""

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("was read")

    def write(self, data: Any) -> int:
        raise AssertionError("was written")


NO_STREAMS: List[Any] = [
    None,
    True,
    1.5,
    object(),
    [],
    bytearray(b"name"),
    io.BytesIO,
    Path,
    io.StringIO("text"),
]
NO_IMAGES: List[Any] = [None, "ends", 3, object(), rbd.Image]


def calls(image: Any, ioctx: Any) -> Dict[str, Dict[str, Any]]:
    """Return right arguments of each call. None may be touched if another argument is wrong."""
    source, dest = Untouched(), Untouched()
    return {
        "export_image": {"image": image, "dest": dest},
        "export_diff": {"image": image, "dest": dest},
        "import_image": {"source": source, "ioctx": ioctx, "name": "never"},
        "import_diff": {"source": source, "image": image},
        "merge_diff": {"first": source, "second": source, "dest": dest},
    }


WRONG: Dict[str, List[Any]] = {
    **dict.fromkeys(("source", "dest", "first", "second"), NO_STREAMS),
    "image": NO_IMAGES,
    "ioctx": [None, 3, "rbd", object()],
    "name": [None, 3, object(), bytearray(b"x")],
    "checksum": [3, b"md5", object()],
    "on_progress": [3, "x"],
    "queue_depth": ["1", 1.0, True],
    "export_format": ["1", 1.0, True, [1]],
    "diff_format": [None, "1", 1.0, True, [1]],
    "from_snapshot": [3, object()],
    "sparse_size": [None, "1", 1.0, True],
}


@pytest.mark.parametrize("call", calls(None, None))
def test_wrong_types_are_refused_before_anything_is_touched(
    image: rbd.Image, rbd_ioctx: Any, call: str
) -> None:
    function = getattr(transfer, call)
    right = calls(image, rbd_ioctx)[call]
    tried = 0
    for name in inspect.signature(function).parameters:
        for wrong in WRONG.get(name, ()):
            with pytest.raises(TypeError) as caught:
                function(**{**right, name: wrong})
            assert name in str(caught.value), caught.value
            tried += 1
    assert tried > 20
    assert rbd.RBD().list(rbd_ioctx) == ["ends"]
    assert list(image.list_snaps()) == []


@pytest.mark.parametrize("call", calls(None, None))
def test_wrong_values_are_refused_before_anything_is_touched(
    image: rbd.Image, rbd_ioctx: Any, call: str
) -> None:
    function = getattr(transfer, call)
    right = calls(image, rbd_ioctx)[call]
    for name, wrong in (
        ("checksum", "none"),
        # Its digest does not have a fixed length.
        ("checksum", "shake_128"),
        ("queue_depth", 0),
        ("export_format", 3),
        ("diff_format", 0),
        ("name", "nul\0"),
        ("from_snapshot", "nul\0"),
        ("sparse_size", -1),
    ):
        if name in inspect.signature(function).parameters:
            with pytest.raises(ValueError, match=None if name == "checksum" else name):
                function(**{**right, name: wrong})


@pytest.mark.parametrize("call", calls(None, None))
def test_closed_files_and_images_are_refused(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Path, call: str
) -> None:
    function = getattr(transfer, call)
    path = tmp_path / "file"
    path.write_bytes(FIRST)
    right = calls(image, rbd_ioctx)[call]
    for role in ("source", "first", "second", "dest"):
        if role not in right:
            continue
        for buffering in (0, -1):
            closed = path.open("rb", buffering)
            closed.close()
            with pytest.raises(ValueError, match=f"{role} is a closed"):
                function(**{**right, role: closed})
            with path.open("ab" if role != "dest" else "rb", buffering) as file:
                with pytest.raises(io.UnsupportedOperation, match=f"{role} is a file"):
                    function(**{**right, role: file})
                with pytest.raises(OSError, match=f"{role} is a descriptor") as caught:
                    function(**{**right, role: file.fileno()})
                assert caught.value.errno == errno.EBADF
        for number in (-1, 1 << 20):
            with pytest.raises(OSError, match=r"[Bb]ad") as caught:
                function(**{**right, role: number})
            assert caught.value.errno == errno.EBADF
    assert path.read_bytes() == FIRST
    if "image" in right:
        image.close()
        with pytest.raises(rbd.InvalidArgument) as error:
            function(**right)
        assert error.value.errno is None


def test_names_may_be_bytes(image: rbd.Image, rbd_ioctx: Any) -> None:
    name = "n\u00e9"
    transfer.import_image(io.BytesIO(b"data"), rbd_ioctx, name.encode())
    assert contents(rbd_ioctx, name) == b"data"
    with pytest.raises(rbd.ImageExists):
        transfer.import_image(io.BytesIO(b"data"), rbd_ioctx, name.encode())
    image.create_snap(name)
    one, two = io.BytesIO(), io.BytesIO()
    transfer.export_diff(image, one, name.encode())
    transfer.export_diff(image, two, name)
    assert one.getvalue() == two.getvalue()
