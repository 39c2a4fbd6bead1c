"""The bytes of the streams, without a cluster: which are read, written and refused."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tempfile
import threading
from pathlib import Path
from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rbd
from rbd import transfer
from rbd.transfer import formats
from rbd.transfer.sink import Sink
from rbd.transfer.source import Source
from support.stream_files import Record, apply_records, make_diff, parse_diff

SIZE = 1 << 12


@st.composite
def records(draw: Any, size: int = SIZE) -> List[Record]:
    made: List[Record] = []
    for _ in range(draw(st.integers(0, 8))):
        offset = draw(st.integers(0, size - 1))
        length = draw(st.integers(1, size - offset))
        if draw(st.booleans()):
            made.append(("w", offset, bytes([draw(st.integers(1, 255))]) * length))
        else:
            made.append(("z", offset, length))
    return made


@given(records(), st.sampled_from([1, 2]))
def test_a_diff_is_read_as_it_was_made(made: List[Record], version: int) -> None:
    stream = make_diff(made, size=SIZE, start="a", end="\u00e9\U0001f600", version=version)
    header, found = parse_diff(stream)
    assert found == made
    assert header == formats.DiffHeader(b"a", "\u00e9\U0001f600".encode(), SIZE)
    describe = formats.extent_header(version)
    written = formats.diff_header(version, header)
    for kind, offset, what in made:
        data = kind == "w"
        written += describe(offset, len(what) if data else what, data) + (what if data else b"")
    assert written + formats.DIFF_END == stream


def test_the_protection_record_has_one_byte() -> None:
    header = formats.DiffHeader(None, b"s", 5, True)
    for length in (formats.PROTECTION_LENGTH, formats.OLD_PROTECTION_LENGTH):
        stream = formats.diff_header(2, header, length) + b"e"
        assert b"p" + struct.pack("<Q", length) + b"\1s" in stream
        assert parse_diff(stream)[0] == header


def test_unknown_records_are_skipped_in_version_2() -> None:
    stream = make_diff([("z", 0, 5)], version=2)
    unknown = b"?" + struct.pack("<Q", 3) + b"abc"
    for place in (b"s", b"z", b"e"):
        at = stream.index(place, 12)
        assert parse_diff(stream[:at] + unknown + stream[at:])[1] == [("z", 0, 5)]
    stream = make_diff([("z", 0, 5)], version=1)
    at = stream.index(b"z")
    with pytest.raises(rbd.StreamError, match="unknown") as caught:
        parse_diff(stream[:at] + b"?" + stream[at:])
    assert caught.value.position == at


@pytest.mark.parametrize("version", [1, 2])
def test_every_truncation_is_reported(version: int) -> None:
    stream = make_diff(
        [("w", 0, b"abc"), ("z", 10, 5), ("w", 20, b"x" * 50)],
        start="from",
        end="to",
        version=version,
    )
    parse_diff(stream)
    for length in range(len(stream)):
        with pytest.raises(rbd.StreamError) as caught:
            parse_diff(stream[:length])
        assert caught.value.position == length
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, rbd.Error)


def skim(source: Any) -> int:
    """Go through a diff without its data. Return its length, or the position of the damage."""
    with Source(source) as stream:
        try:
            formats.DiffReader(stream).skim()
        except rbd.StreamError as error:
            return -1 if error.position is None else error.position
        return stream.position


@given(records(), st.sampled_from([1, 2]), st.data())
def test_a_file_is_skimmed_like_a_stream(made: List[Record], version: int, data: Any) -> None:
    made += made * data.draw(st.sampled_from([0, 30]))
    stream = bytearray(make_diff(made, size=SIZE, version=version))
    if data.draw(st.booleans()):
        del stream[data.draw(st.integers(0, len(stream))) :]
    elif data.draw(st.booleans()):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + stream)
        file.seek(len(b"before"))
        assert skim(file) == skim(io.BytesIO(stream))


@pytest.mark.parametrize(
    ("stream", "position"),
    [
        (b"rbd diff v3\ne", 0),
        (b"something else entirely", 0),
        (make_diff([("w", 1 << 20, b"x")]), 21),
        (make_diff([("z", (1 << 64) - 1, 2)], size=None), 12),
        (make_diff([("z", 5, (1 << 64) - 2)], size=None), 12),
        (b"rbd diff v1\nf\xff\xff\xff\xffabc", 13),
        (make_diff([], start="a")[:-1] + b"f\1\0\0\0be", 27),
        (make_diff([("z", 0, 1)])[:-1] + b"f\1\0\0\0be", 38),
        (b"rbd diff v2\ns" + struct.pack("<QQ", 9, 1) + b"e", 12),
        (b"rbd diff v2\nf" + struct.pack("<QI", 9, 1) + b"ae", 12),
        (b"rbd diff v2\nw" + struct.pack("<QQQ", 18, 0, 1) + b"ae", 12),
        (b"rbd diff v2\nz" + struct.pack("<QQQ", 17, 0, 1) + b"e", 12),
    ],
)
def test_damage_is_reported_with_its_position(stream: bytes, position: int) -> None:
    with pytest.raises(rbd.StreamError, match="byte") as caught:
        parse_diff(stream)
    assert caught.value.position == position


def test_image_headers_are_read_as_written() -> None:
    header = formats.ImageHeader(22, 61, 4096, 8, [(b"k", b"v"), (b"", b"x" * 1000)])
    stream = formats.image_header(header, 3)
    source = Source(io.BytesIO(stream + b"more"))
    assert formats.read_image_header(source) == (header, 3)
    assert source.position == len(stream)
    unknown = stream.replace(b"T", b"?" + struct.pack("<Q", 2) + b"ab" + b"T", 1)
    assert formats.read_image_header(Source(io.BytesIO(unknown))) == (header, 3)
    for length in range(len(stream)):
        with pytest.raises(rbd.StreamError):
            formats.read_image_header(Source(io.BytesIO(stream[:length])))
    for damaged in (
        stream.replace(b"O" + struct.pack("<Q", 8), b"O" + struct.pack("<Q", 7)),
        stream.replace(b"diffs v2", b"diffs v1"),
        stream[:-8] + bytes(8),
        stream.replace(b"M" + struct.pack("<Q", 10), b"M" + struct.pack("<Q", 11)),
    ):
        with pytest.raises(rbd.StreamError):
            formats.read_image_header(Source(io.BytesIO(damaged)))


# Sources and sinks


@pytest.mark.parametrize("kind", ["path", "bytes", "Path", "fd", "file", "raw", "BytesIO", "pipe"])
def test_each_kind_of_source_works(kind: str, tmp_path: Path) -> None:
    data = os.urandom(700_000)
    path = tmp_path / "file"
    path.write_bytes(b"before" + data + b"after")
    opened: Any = None
    argument: Any
    base = 6
    if kind in ("path", "bytes", "Path"):
        path.write_bytes(data + b"after")
        argument = {"path": str(path), "bytes": os.fsencode(path), "Path": path}[kind]
        base = 0
    elif kind == "fd":
        argument = opened = os.open(path, os.O_RDONLY)
        os.lseek(opened, base, os.SEEK_SET)
    elif kind in ("file", "raw"):
        argument = opened = path.open("rb", buffering=-1 if kind == "file" else 0)
        opened.read(base)
    elif kind == "BytesIO":
        argument = opened = io.BytesIO(path.read_bytes())
        opened.read(base)
    else:
        argument, writing = os.pipe()
        opened = argument
        os.set_blocking(writing, True)
        thread = threading.Thread(target=_feed, args=(writing, data + b"after"))
        thread.start()
    with Source(argument, "md5") as source:
        assert source.peek(20) == data[:20]
        assert source.read_exact(13) == data[:13]
        assert source.read_exact(100_000) == data[13:100_013]
        source.skip(399_987)
        assert source.position == 500_000
        view = memoryview(bytearray(200_000))
        source.readinto_exact(view)
        assert bytes(view) == data[500_000:]
        assert source.position == len(data)
        assert source.checksum == hashlib.md5(data).hexdigest()
    # What follows the stream is still there.
    if isinstance(opened, int):
        assert os.read(opened, 100) == b"after"
        os.close(opened)
    elif opened is not None:
        assert opened.read() == b"after"
        opened.close()
    if kind == "pipe":
        thread.join()


def _feed(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


def test_wrong_sources_and_sinks_are_refused(tmp_path: Path) -> None:
    for wrong in (None, True, 1.5, io.StringIO(), object()):
        with pytest.raises(TypeError):
            Source(wrong)
        with pytest.raises(TypeError):
            Sink(wrong)
    with pytest.raises(FileNotFoundError):
        Source(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        Source(tmp_path)
    with pytest.raises(IsADirectoryError):
        Sink(tmp_path)
    with pytest.raises(FileNotFoundError):
        Sink(tmp_path / "none" / "file")
    with pytest.raises(ValueError, match="hash"):
        Sink(tmp_path / "file", "no such hash")
    assert list(tmp_path.iterdir()) == []


def _write(sink: Sink) -> bytes:
    sink.write(b"head")
    sink.hole(3_000_000)
    sink.write(b"a", b"", memoryview(b"bc"))
    sink.hole(100_000)
    return b"head" + bytes(3_000_000) + b"abc" + bytes(100_000)


@pytest.mark.parametrize("kind", ["path", "fd", "file", "old", "append", "BytesIO", "pipe"])
def test_each_kind_of_sink_works(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    argument: Any = path
    if kind == "pipe":
        reading, argument = os.pipe()
        got: List[bytes] = []
        thread = threading.Thread(target=lambda: got.append(_drain(reading)))
        thread.start()
    elif kind == "fd":
        argument = os.open(path, os.O_RDWR | os.O_CREAT)
    elif kind == "file":
        argument = path.open("w+b")
        argument.write(b"xx")
    elif kind == "old":
        # A file with old data, which a hole would show.
        path.write_bytes(b"\xff" * 4_000_000)
        argument = os.open(path, os.O_RDWR)
    elif kind == "append":
        path.write_bytes(b"yy")
        argument = os.open(path, os.O_WRONLY | os.O_APPEND)
    elif kind == "BytesIO":
        argument = io.BytesIO()
    with Sink(argument, "sha1") as sink:
        data = _write(sink)
        assert sink.position == len(data)
        assert sink.checksum == hashlib.sha1(data).hexdigest()
    if kind == "pipe":
        os.close(argument)
        thread.join()
        assert got == [data]
        return
    if kind == "BytesIO":
        assert argument.getvalue() == data
        return
    if kind == "file":
        assert argument.tell() == len(data) + 2
        argument.close()
        data = b"xx" + data
    elif isinstance(argument, int):
        if kind == "fd":
            assert os.lseek(argument, 0, os.SEEK_CUR) == len(data)
        os.close(argument)
        data = {"append": b"yy" + data, "old": data + b"\xff" * (4_000_000 - len(data))}.get(
            kind, data
        )
    assert path.read_bytes() == data
    if kind in ("path", "fd", "file"):
        assert path.stat().st_blocks * 512 < 1_000_000


def _drain(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read()


def test_a_file_is_replaced_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    with Sink(link) as sink:
        sink.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    sink = Sink(path)
    sink.write(b"newer")
    sink.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert path.read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]


def test_short_writes_are_continued_and_full_disks_reported(tmp_path: Path) -> None:
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.got = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.got += bytes(data[:3])
            return min(len(data), 3)

    slow = Slow()
    with Sink(slow) as sink:
        sink.write(b"0123456789", b"abc")
    assert slow.got == b"0123456789abc"
    with pytest.raises(OSError, match="byte 0 of the stream") as caught, Sink("/dev/full") as sink:
        sink.write(b"x" * 100)
    assert caught.value.errno == 28
    assert caught.value.position == 0  # type: ignore[attr-defined]
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), Sink(writing) as sink:
        sink.write(b"x")
    os.close(writing)


def test_file_objects_may_keep_their_data() -> None:
    class Keeping:
        def __init__(self) -> None:
            self.parts: List[Any] = []

        def write(self, data: Any) -> None:
            self.parts.append(data)

    kept = Keeping()
    memory = bytearray(b"first")
    with Sink(kept) as sink:
        sink.write(memoryview(memory))
        memory[:] = b"other"
        sink.write(memoryview(memory))
    assert b"".join(kept.parts) == b"firstother"


# Merging


def merged(first: bytes, second: bytes, **arguments: Any) -> bytes:
    result = io.BytesIO()
    transfer.merge_diff(io.BytesIO(first), io.BytesIO(second), result, **arguments)
    return result.getvalue()


@given(
    st.binary(max_size=SIZE),
    st.integers(1, SIZE),
    st.integers(1, SIZE),
    st.data(),
)
def test_a_merged_diff_does_what_both_do(before: bytes, middle: int, end: int, data: Any) -> None:
    one = data.draw(records(middle))
    two = data.draw(records(end))
    # A diff contains changes of the image's size, and so does a merged one.
    expected = apply_records(apply_records(before, middle, one), end, two)
    for version in (1, 2):
        stream = merged(
            make_diff(one, size=middle, start="a", end="b", version=3 - version),
            make_diff(two, size=end, start="b", end="c", version=version),
            diff_format=version,
        )
        header, found = parse_diff(stream)
        assert header == formats.DiffHeader(b"a", b"c", end)
        assert apply_records(before, end, found) == expected
        position = 0
        for kind, offset, what in found:
            assert offset >= position
            position = offset + (len(what) if kind == "w" else what)
    assert position <= end if found else True


def test_merge_checks_its_arguments(tmp_path: Path) -> None:
    first = make_diff([], start="a", end="b")
    with pytest.raises(rbd.InvalidArgument, match=r"'b'.*'x'"):
        merged(first, make_diff([], start="x"))
    with pytest.raises(rbd.InvalidArgument, match="no snapshot"):
        merged(first, make_diff([]))
    with pytest.raises(ValueError, match="diff_format"):
        merged(first, make_diff([], start="b"), diff_format=3)
    with pytest.raises(rbd.StreamError):
        merged(first, make_diff([], start="b")[:-1])
    path = tmp_path / "merged"
    path.write_bytes(b"old")
    with pytest.raises(rbd.StreamError):
        transfer.merge_diff(io.BytesIO(first), io.BytesIO(b"rbd diff v1\n"), path)
    assert path.read_bytes() == b"old"
    digest = transfer.merge_diff(
        io.BytesIO(first), io.BytesIO(make_diff([], start="b")), path, checksum="sha256"
    )
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_pipes_are_merged() -> None:
    first = make_diff([("w", 0, b"x" * 300_000)], start="a", end="b")
    second = make_diff([("w", 100, b"y" * 300_000)], start="b")
    ends = []
    threads = []
    for stream in (first, second):
        reading, writing = os.pipe()
        ends.append(reading)
        threads.append(threading.Thread(target=_feed, args=(writing, stream + b"rest")))
        threads[-1].start()
    result = io.BytesIO()
    transfer.merge_diff(ends[0], ends[1], result)
    assert result.getvalue() == merged(first, second)
    for reading, thread in zip(ends, threads):
        assert os.read(reading, 10) == b"rest"
        os.close(reading)
        thread.join()
