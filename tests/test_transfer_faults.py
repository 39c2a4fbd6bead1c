"""Faults of streams are typed errors, and leave nothing that looks complete but is not."""

from __future__ import annotations

import functools
import io
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import rbd
from rbd import transfer
from rbd.transfer import extents
from support import memory_usage
from support.stream_files import contents, make_diff

MIB = 1 << 20


def names(ioctx: Any) -> set[str]:
    return set(rbd.RBD().list(ioctx))


@pytest.fixture
def streams(rbd_image: rbd.Image) -> Any:
    """Provide an image's three kinds of stream, by name."""
    rbd_image.write(os.urandom(40_000), 0)
    rbd_image.create_snap("s")
    rbd_image.write(os.urandom(10_000), MIB)
    made = {}
    for kind, arguments in (("diff", None), ("all", {"export_format": 2})):
        memory = io.BytesIO()
        if arguments is None:
            transfer.export_diff(rbd_image, memory, "s")
        else:
            transfer.export_image(rbd_image, memory, **arguments)
        made[kind] = memory.getvalue()
    return made


class Pipe(io.RawIOBase):
    """A file object that can only be read forwards."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


@pytest.mark.parametrize("pipe", [False, True])
def test_truncated_images_leave_nothing(
    streams: Any, rbd_ioctx: Any, tmp_path: Path, pipe: bool
) -> None:
    whole = streams["all"]
    before = names(rbd_ioctx)
    for length in (20, 60, 130, 200, 5000, len(whole) // 2, len(whole) - 1):
        source: Any = Pipe(whole[:length])
        if not pipe:
            source = tmp_path / "stream"
            source.write_bytes(whole[:length])
        with pytest.raises(rbd.StreamError) as caught:
            transfer.import_image(source, rbd_ioctx, "damaged")
        assert caught.value.position == length
        assert names(rbd_ioctx) == before


def test_truncated_diffs_take_no_snapshot(streams: Any, rbd_ioctx: Any, tmp_path: Path) -> None:
    whole = streams["diff"].replace(b"s1", b"s1")
    stream = make_diff([("w", 0, b"x" * 30_000), ("w", MIB, b"y" * 30_000)], size=2 * MIB, end="e")
    rbd.RBD().create(rbd_ioctx, "target", MIB)
    path = tmp_path / "stream"
    with rbd.Image(rbd_ioctx, "target") as image:
        for length in range(0, len(stream), 7919):
            path.write_bytes(stream[:length])
            with pytest.raises(rbd.StreamError) as caught:
                transfer.import_diff(path, image)
            assert caught.value.position == length
            # A file is checked first, so nothing has changed.
            assert image.size() == MIB
            assert image.read(0, 10) == bytes(10)
            with pytest.raises(rbd.StreamError) as caught:
                transfer.import_diff(Pipe(stream[:length]), image)
            assert caught.value.position == length
            assert list(image.list_snaps()) == []
            image.resize(0)
            image.resize(MIB)
        with pytest.raises(rbd.InvalidArgument):
            transfer.import_diff(io.BytesIO(whole), image)


def test_a_diff_beyond_the_image_is_refused(rbd_image: rbd.Image) -> None:
    stream = make_diff([("w", rbd_image.size() - 1, b"xx")], size=None)
    with pytest.raises(rbd.StreamError, match="beyond"):
        transfer.import_diff(io.BytesIO(stream), rbd_image)


@pytest.mark.parametrize("window", [4 * MIB, 1 << 30])
@pytest.mark.parametrize(
    "export",
    [
        transfer.export_image,
        transfer.export_diff,
        functools.partial(transfer.export_image, export_format=2),
    ],
)
def test_an_image_that_shrinks_during_an_export_is_an_error(
    rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch, export: Any, window: int
) -> None:
    monkeypatch.setattr(extents, "WINDOW", window)
    monkeypatch.setattr(extents, "MAP_WINDOW", window)
    rbd_image.resize(64 * MIB)
    for at in range(64):
        rbd_image.write(b"x" * 1000, at * MIB)

    class Shrinking(io.RawIOBase):
        def __init__(self) -> None:
            self.length = 0

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            if self.length < 1000 <= self.length + len(data):
                rbd_image.resize(MIB)
            self.length += len(data)
            return len(data)

    with pytest.raises(rbd.StreamError, match="shrank") as caught:
        export(rbd_image, Shrinking(), queue_depth=1)
    assert MIB <= caught.value.position < 64 * MIB


def test_a_failing_destination_is_an_error(rbd_image: rbd.Image, tmp_path: Path) -> None:
    rbd_image.write(b"x" * MIB, 0)
    for format_ in (1, 2):
        with pytest.raises(OSError, match=r"byte \d+ of the stream") as caught:
            transfer.export_image(rbd_image, "/dev/full", export_format=format_)
        assert caught.value.errno == 28
    with pytest.raises(OSError, match="byte"):
        transfer.export_diff(rbd_image, "/dev/full")
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError, match="byte 0"):
        transfer.export_image(rbd_image, writing)
    os.close(writing)

    class Failing(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transfer.export_image(rbd_image, Failing())


def test_a_limit_on_file_sizes_is_an_error(rbd_image: rbd.Image, tmp_path: Path) -> None:
    rbd_image.write(os.urandom(3 * MIB), 0)
    path = tmp_path / "image"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, before[1]))
    try:
        with pytest.raises(OSError, match=f"byte {2 * MIB} of") as caught:
            transfer.export_image(rbd_image, path)
        assert caught.value.errno == 27
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["image"]


def test_a_failing_source_is_an_error(rbd_ioctx: Any) -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise ZeroDivisionError

    before = names(rbd_ioctx)
    with pytest.raises(ZeroDivisionError):
        transfer.import_image(Failing(), rbd_ioctx, "never")
    with pytest.raises(rbd.StreamError):
        transfer.import_image(io.BytesIO(b"short"), rbd_ioctx, "never", export_format=2)
    assert names(rbd_ioctx) == before


def test_an_interrupt_stops_a_transfer(
    rbd_image: rbd.Image, rbd_cluster: Any, rbd_ioctx: Any, tmp_path: Path
) -> None:
    rbd_image.resize(1 << 40)
    rbd_image.write(b"x", 0)
    script = textwrap.dedent(
        """
        import sys, rbd
        cluster = rbd.connect(sys.argv[1])
        ioctx = cluster.open_ioctx(sys.argv[2])
        ioctx.set_namespace(sys.argv[3])
        image = rbd.Image(ioctx, sys.argv[4], read_only=True)
        started = lambda done, total: print("started", flush=True)
        # Zeroes into a pipe that is read slowly: hours of work.
        rbd.transfer.export_image(image, 1, on_progress=None, checksum="sha256")
        """
    )
    arguments = (
        str(rbd_cluster.conffile),
        rbd_ioctx.get_pool_name(),
        rbd_ioctx.get_namespace(),
        rbd_image.get_name(),
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.stderr is not None
        error = process.stderr.read()
        process.wait(30)
        took = time.monotonic() - begun
    assert b"KeyboardInterrupt" in error or b"BrokenPipe" in error
    assert took < 20


def test_an_interrupted_export_leaves_no_file(rbd_image: rbd.Image, tmp_path: Path) -> None:
    rbd_image.write(b"x", 0)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "image"
    with pytest.raises(KeyboardInterrupt):
        transfer.export_image(rbd_image, path, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_transfers_take_bounded_memory(rbd_image: rbd.Image, rbd_ioctx: Any) -> None:
    rbd_image.resize(400 * MIB)
    for at in range(0, 400, 4):
        rbd_image.write(os.urandom(4 * MIB), at * MIB)
    memory_usage.forget_peak()
    before = memory_usage.peak()
    with open(os.devnull, "wb") as null:
        transfer.export_image(rbd_image, null)
        transfer.export_diff(rbd_image, null)
    assert (memory_usage.peak() - before) << 10 < 250 * MIB
    assert contents is not None
