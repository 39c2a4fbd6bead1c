"""Streams without a cluster: they are described, verified, applied to files and merged."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import re
import struct
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rbd
from rbd import transfer
from rbd.transfer import extents
from rbd.transfer.sink import Sink
from rbd.transfer.source import Source
from support.stream_files import apply_records, contents, make_diff, parse_diff, states

MIB = 1 << 20
SIZE = 8 * MIB
WRONG = ("sha256", "0" * 64)


class Pipe(io.RawIOBase):
    """A file object that can only be read forwards."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


def sha256(data: bytes) -> Tuple[str, str]:
    return "sha256", hashlib.sha256(data).hexdigest()


FIRST = make_diff([("w", 0, b"first" * 1000), ("z", 2 * MIB, MIB)], size=SIZE, end="s")
SECOND = make_diff([("w", 3, b"second"), ("z", 4000, 500)], size=SIZE - MIB, start="s", end="t")


@pytest.fixture
def image(rbd_ioctx: Any) -> Iterator[rbd.Image]:
    """Provide an image with two snapshots, which grew and shrank."""
    rbd.RBD().create(rbd_ioctx, "tools", SIZE, 20)
    with rbd.Image(rbd_ioctx, "tools") as image:
        image.write(os.urandom(2 * MIB), MIB)
        image.create_snap("one")
        image.protect_snap("one")
        image.write(os.urandom(70_000), 4 * MIB)
        image.discard(MIB, 100_000)
        image.resize(SIZE - MIB)
        image.create_snap("two")
        image.resize(SIZE + 5)
        image.write(b"end", SIZE + 2)
        yield image
        with contextlib.suppress(rbd.InvalidArgument):
            image.unprotect_snap("one")


def diff(ioctx: Any, end: Optional[str], start: Optional[str]) -> bytes:
    memory = io.BytesIO()
    with rbd.Image(ioctx, "tools", snapshot=end) as image:
        transfer.export_diff(image, memory, start)
    return memory.getvalue()


def raw(ioctx: Any, snapshot: Optional[str] = None) -> bytes:
    return contents(ioctx, "tools", snapshot)


# Describe and verify


@pytest.mark.parametrize("source", [io.BytesIO, Pipe, None])
@pytest.mark.parametrize("version", [1, 2])
def test_a_difference_is_described(
    tmp_path: Path, source: Optional[Callable[[bytes], Any]], version: int
) -> None:
    stream = make_diff(
        [("w", 5, b"data"), ("z", 100, 50)], size=SIZE, start="a", end="\u00e9", version=version
    )
    given: Any = tmp_path / "diff"
    if source is None:
        given.write_bytes(stream)
    else:
        given = source(stream)
    found = transfer.describe(given)
    assert found == transfer.StreamDescription(
        "diff",
        SIZE,
        len(stream),
        [
            transfer.DiffDescription(
                version, "a", "\u00e9", SIZE, None, [(5, 4, True), (100, 50, False)]
            )
        ],
        {},
        {},
    )
    assert (found.diffs[0].data_bytes, found.diffs[0].zero_bytes) == (4, 50)


def test_an_image_is_described(image: rbd.Image, tmp_path: Path) -> None:
    image.metadata_set("owner", "somebody")
    path = tmp_path / "image"
    transfer.export_image(image, path, export_format=2)
    found = transfer.describe(path)
    assert (found.kind, found.size, found.length) == ("image", SIZE + 5, path.stat().st_size)
    assert [(each.from_snapshot, each.to_snapshot) for each in found.diffs] == [
        (None, "one"),
        ("one", "two"),
        ("two", None),
    ]
    assert [each.size for each in found.diffs] == [SIZE, SIZE - MIB, SIZE + 5]
    assert [each.protected for each in found.diffs[:2]] == [True, False]
    assert found.layout["order"] == 20
    assert found.metadata == {"owner": "somebody"}
    transfer.export_image(image, path)
    assert transfer.describe(path) == ("raw", SIZE + 5, SIZE + 5, [], {}, {})
    assert transfer.describe(Pipe(b"some bytes")).length == 10


def test_verify_accepts_intact_and_refuses_damaged_streams(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Path
) -> None:
    whole = io.BytesIO()
    transfer.export_image(image, whole, export_format=2)
    path = tmp_path / "stream"
    for stream in (FIRST, whole.getvalue(), b"raw bytes"):
        path.write_bytes(stream)
        for source in (path, io.BytesIO(stream), Pipe(stream)):
            assert transfer.verify(source) is None
        assert transfer.verify(path, checksum="md5", expected=sha256(stream)) == (
            hashlib.md5(stream).hexdigest()
        )
        with pytest.raises(rbd.StreamError, match="not the expected") as caught:
            transfer.verify(path, expected=WRONG)
        assert caught.value.position == len(stream)
    for stream in (FIRST, whole.getvalue()):
        for length in (20, len(stream) // 2, len(stream) - 1):
            path.write_bytes(stream[:length])
            for call in (transfer.verify, transfer.describe):
                with pytest.raises(rbd.StreamError) as caught:
                    call(path)
                assert caught.value.position == length
        path.write_bytes(stream + b"x")
        with pytest.raises(rbd.StreamError, match="data after the end") as caught:
            transfer.verify(path)
        assert caught.value.position == len(stream)
    path.write_bytes(make_diff([("w", SIZE - 1, b"xx")], size=SIZE))
    with pytest.raises(rbd.StreamError, match="beyond"):
        transfer.verify(path)
    seen: List[Any] = []
    path.write_bytes(FIRST)
    transfer.verify(path, on_progress=lambda *at: seen.append(at))
    assert seen[-1] == (len(FIRST), len(FIRST))
    for wrong in (None, 1.5, io.StringIO("x")):
        for call in (transfer.verify, transfer.describe):
            with pytest.raises(TypeError):
                call(wrong)


# Local files


@pytest.mark.parametrize("banner", [b"rbd diff v3\n", b"rbd diff v\xf5\n", b"rbd image v3\n"])
def test_an_unknown_version_is_not_imported_as_bytes(banner: bytes) -> None:
    data = banner.ljust(200, b"\0")
    end = io.BytesIO(b"rbd diff v1\ns" + struct.pack("<Q", 100) + b"e")
    for call in (
        lambda: transfer.verify(io.BytesIO(data)),
        lambda: transfer.describe(io.BytesIO(data)),
        lambda: transfer.merge_diff(io.BytesIO(data), end, io.BytesIO()),
    ):
        with pytest.raises(rbd.StreamError, match="unknown version at byte 0"):
            call()


def test_differences_are_applied_to_a_file(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Path
) -> None:
    path = tmp_path / "raw"
    start = None
    for end in ("one", "two", None):
        stream = diff(rbd_ioctx, end, start)
        for source in (io.BytesIO(stream), Pipe(stream)):  # applying it twice does no harm
            digest = transfer.apply_diff(source, path, checksum="md5", expected=sha256(stream))
            assert digest == hashlib.md5(stream).hexdigest()
            assert path.read_bytes() == raw(rbd_ioctx, end)
        start = end
    assert path.stat().st_blocks * 512 <= 3 * MIB


def test_a_file_gets_holes(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(os.urandom(4 * MIB))
    data = os.urandom(4096)
    records = [("z", 0, MIB), ("w", MIB, bytes(2 * MIB - 4096) + data), ("w", 5, bytes(4096))]
    expected = apply_records(path.read_bytes(), 4 * MIB, records)
    stream = make_diff(records, size=4 * MIB)
    transfer.apply_diff(io.BytesIO(stream), path)
    assert path.read_bytes() == expected
    assert path.stat().st_blocks * 512 <= MIB + 65536
    transfer.apply_diff(io.BytesIO(stream), path, sparse_size=0)
    assert path.read_bytes() == expected
    assert path.stat().st_blocks * 512 >= 3 * MIB
    # Runs of other lengths, and those that cross records.
    for sparse in (1, 3, 512, 1 << 20):
        path.write_bytes(os.urandom(4 * MIB))
        transfer.apply_diff(io.BytesIO(stream), path, sparse_size=sparse if sparse > 3 else 4096)
        assert path.read_bytes()[: 3 * MIB] == expected[: 3 * MIB]


def test_files_without_holes_get_zeroes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rbd.transfer import local

    monkeypatch.setattr(local._RawFile, "_punch", lambda *arguments: False)
    path = tmp_path / "raw"
    path.write_bytes(b"x" * 3 * MIB)
    stream = make_diff([("z", 7, 2 * MIB + 5)], size=3 * MIB)
    transfer.apply_diff(io.BytesIO(stream), path)
    assert path.read_bytes() == b"x" * 7 + bytes(2 * MIB + 5) + b"x" * (MIB - 12)


def test_damaged_differences_do_not_change_a_file(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"kept")
    diff_path = tmp_path / "diff"
    diff_path.write_bytes(SECOND[:-1])
    with pytest.raises(rbd.StreamError):
        transfer.apply_diff(diff_path, path)
    diff_path.write_bytes(SECOND)
    with pytest.raises(rbd.StreamError, match="not the expected"):
        transfer.apply_diff(diff_path, path, expected=WRONG)
    with pytest.raises(rbd.StreamError, match="beyond"):
        transfer.apply_diff(io.BytesIO(make_diff([("w", 3, b"xx")], size=None)), path)
    assert path.read_bytes() == b"kept"
    # A difference from a snapshot needs a file to be applied to.
    with pytest.raises(FileNotFoundError):
        transfer.apply_diff(diff_path, tmp_path / "none")
    for wrong in (None, 3, io.BytesIO()):
        with pytest.raises(TypeError, match="path"):
            transfer.apply_diff(diff_path, wrong)
    with pytest.raises(TypeError, match="source"):
        transfer.apply_diff(None, path)
    assert sorted(os.listdir(tmp_path)) == ["diff", "raw"]


# Merging into whole images


def test_a_difference_is_merged_into_bytes(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Path
) -> None:
    base, result = tmp_path / "base", tmp_path / "result"
    with rbd.Image(rbd_ioctx, "tools", snapshot="one") as at_one:
        transfer.export_image(at_one, base)
    data = base.read_bytes()
    for end, start in (("two", "one"), (None, "one")):
        stream = diff(rbd_ioctx, end, start)
        expected = raw(rbd_ioctx, end)
        for first in (base, Pipe(data)):
            for second in (io.BytesIO(stream), Pipe(stream)):
                digest = transfer.merge_diff(first, second, result, checksum="sha256")
                assert result.read_bytes() == expected
                assert digest == sha256(expected)[1]
                first = base
    assert result.stat().st_blocks * 512 <= 4 * MIB
    with pytest.raises(rbd.StreamError, match="not the expected"):
        transfer.merge_diff(base, io.BytesIO(stream), result, expected=WRONG)
    assert result.read_bytes() == expected


def test_a_difference_is_merged_into_an_image(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Path
) -> None:
    base, result = tmp_path / "base", tmp_path / "result"
    transfer.export_image(image, base, export_format=2)
    # The present data of the head is in no snapshot, so it is replaced.
    image.write(b"later" * 100, 6 * MIB)
    image.create_snap("three")
    image.write(b"head", 0)
    image.flush()  # other handles do not see what is in this one's cache
    for end, version in (("three", 1), (None, 2)):
        stream = io.BytesIO()
        with rbd.Image(rbd_ioctx, "tools", snapshot=end) as opened:
            transfer.export_diff(opened, stream, "two", diff_format=version)
        for number, first in enumerate((base, Pipe(base.read_bytes()))):
            transfer.merge_diff(first, io.BytesIO(stream.getvalue()), result)
            assert transfer.verify(result) is None
            new = f"merged-{end}-{number}"
            transfer.import_image(result, rbd_ioctx, new)
            expected = {
                name: data for name, data in states(rbd_ioctx, "tools").items() if name != "three"
            }
            expected[None] = raw(rbd_ioctx, end)
            if end is not None:
                expected[end] = expected[None]
            assert states(rbd_ioctx, new) == expected
            with rbd.Image(rbd_ioctx, new) as opened:
                assert opened.is_protected_snap("one")
                opened.unprotect_snap("one")
    with pytest.raises(rbd.InvalidArgument, match="newest state"):
        transfer.merge_diff(base, io.BytesIO(diff(rbd_ioctx, None, "one")), result)
    again = make_diff([], size=SIZE, start="two", end="one")
    with pytest.raises(rbd.InvalidArgument, match="already"):
        transfer.merge_diff(base, io.BytesIO(again), result)


def test_merging_checks_expected_digests(tmp_path: Path) -> None:
    result = tmp_path / "result"
    result.write_bytes(b"old")
    for source in (io.BytesIO, Pipe):
        for options in (
            {"expected_first": WRONG},
            {"expected_second": WRONG},
            {"expected": WRONG},
        ):
            with pytest.raises(rbd.StreamError, match="not the expected"):
                transfer.merge_diff(source(FIRST), source(SECOND), result, **options)
            assert result.read_bytes() == b"old"
    merged = io.BytesIO()
    transfer.merge_diff(io.BytesIO(FIRST), io.BytesIO(SECOND), merged)
    for source in (io.BytesIO, Pipe):
        transfer.merge_diff(
            source(FIRST),
            source(SECOND),
            result,
            expected=sha256(merged.getvalue()),
            expected_first=sha256(FIRST),
            expected_second=sha256(SECOND),
        )
        assert result.read_bytes() == merged.getvalue()
        result.write_bytes(b"old")


@pytest.mark.parametrize("call", ["import_diff", "import_image", "apply_diff", "first", "second"])
def test_data_after_a_stream_in_a_named_file_is_refused(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Path, call: str
) -> None:
    """It may be another stream, as when `cat` has joined two."""
    stream = make_diff([("w", 0, b"first")], size=image.size(), start="two", end="three")
    if call == "import_image":
        memory = io.BytesIO()
        transfer.export_image(image, memory, export_format=2)
        stream = memory.getvalue()
    elif call in ("first", "second"):
        stream = FIRST if call == "first" else SECOND
    path, target = tmp_path / "stream", tmp_path / "target"
    target.write_bytes(b"old" * 1000)
    path.write_bytes(stream + b"more")
    calls: Dict[str, Callable[[Any], Any]] = {
        "import_diff": lambda source: transfer.import_diff(source, image, allow_changed=True),
        "import_image": lambda source: transfer.import_image(source, rbd_ioctx, "new"),
        "apply_diff": lambda source: transfer.apply_diff(source, target),
        "first": lambda source: transfer.merge_diff(source, io.BytesIO(SECOND), target),
        "second": lambda source: transfer.merge_diff(io.BytesIO(FIRST), source, target),
    }
    before = raw(rbd_ioctx)
    with pytest.raises(rbd.StreamError, match="more data after the end") as caught:
        calls[call](path)
    assert caught.value.position == len(stream)
    assert target.read_bytes() == b"old" * 1000
    assert rbd.RBD().list(rbd_ioctx) == ["tools"]
    assert raw(rbd_ioctx) == before
    assert [entry["name"] for entry in image.list_snaps()] == ["one", "two"]
    # What follows in a file object is for its next reader.
    source = io.BytesIO(stream + b"more")
    calls[call](source)
    assert source.read() == b"more"


# Clones


@pytest.mark.parametrize("features", [None, rbd.RBD_FEATURE_LAYERING])
def test_a_difference_can_leave_out_the_parent(rbd_ioctx: Any, features: Optional[int]) -> None:
    rbd.RBD().create(rbd_ioctx, "parent", SIZE, 20)
    with rbd.Image(rbd_ioctx, "parent") as parent:
        parent.write(os.urandom(4 * MIB), 0)
        parent.create_snap("s")
        parent.protect_snap("s")
    for name in ("clone", "other"):
        rbd.RBD().clone(rbd_ioctx, "parent", "s", rbd_ioctx, name, order=20, features=features)
    with rbd.Image(rbd_ioctx, "clone") as clone:
        clone.write(b"of the clone", 5 * MIB + 7)
        clone.write(b"too", 100)
        # librbd reports a deleted object as the parent's.
        clone.discard(2 * MIB, MIB)
        clone.discard(MIB + 700_000, 2 * MIB - 700_000)
        own, all_ = io.BytesIO(), io.BytesIO()
        transfer.export_diff(clone, own, include_parent=False)
        transfer.export_diff(clone, all_)
        _, records = parse_diff(own.getvalue())
        if rbd.supports("rbd_quiesce_watch"):
            # With Ceph 14, all that the parent lacks is recorded as discarded, too.
            assert {offset // MIB for _, offset, _ in records} <= {0, 1, 2, 5}
        assert len(own.getvalue()) < len(all_.getvalue())
        with rbd.Image(rbd_ioctx, "other") as other:
            transfer.import_diff(io.BytesIO(own.getvalue()), other)
            assert other.read(0, SIZE) == clone.read(0, SIZE)
            assert other.overlap() == SIZE
            # Where nobody has written, the parent's data is still used.
            assert used(other) <= 5 * MIB


def used(image: rbd.Image) -> int:
    """Return how many bytes the head of a clone has itself."""
    return sum(length for _, length, exists in image.diff(include_parent=False) if exists)


@given(st.lists(st.booleans(), max_size=40), st.lists(st.booleans(), max_size=40))
def test_extents_are_subtracted(one: List[bool], other: List[bool]) -> None:
    def runs(flags: List[bool]) -> List[Tuple[int, int, bool]]:
        found, at = [], 0
        for flag, group in itertools.groupby(flags):
            length = len(list(group))
            if flag:
                found.append((at, length, True))
            at += length
        return found

    result = list(extents._without(runs(one), runs(other)))
    wanted = {at for at, flag in enumerate(one) if flag} - {
        at for at, flag in enumerate(other) if flag
    }
    assert [at for offset, length, _ in result for at in range(offset, offset + length)] == sorted(
        wanted
    )


# Digests of extents


def reference_digest(data: bytes, name: str = "sha256") -> str:
    """Return the digest by its documented definition."""
    hashed = hashlib.new(name)
    hashed.update(b"rbd extents digest v1\n" + len(data).to_bytes(8, "little"))
    for at in range(0, len(data), 65536):
        block = data[at : at + 65536]
        if block.strip(b"\0"):
            hashed.update(at.to_bytes(8, "little") + block)
    return hashed.hexdigest()


def test_digests_depend_only_on_size_and_content(image: rbd.Image, rbd_ioctx: Any) -> None:
    for snapshot in ("one", "two", None):
        data = raw(rbd_ioctx, snapshot)
        with rbd.Image(rbd_ioctx, "tools", snapshot=snapshot) as opened:
            assert transfer.digest(opened) == reference_digest(data)
            assert transfer.digest(opened, "md5") == reference_digest(data, "md5")
    # The same content in another layout, with other holes.
    for name, options in (
        ("big", {"order": 24}),
        ("small", {"order": 12}),
        ("striped", {"order": 20, "stripe_unit": 65536, "stripe_count": 3}),
        ("plain", {"features": rbd.RBD_FEATURE_LAYERING}),
    ):
        transfer.import_image(io.BytesIO(data), rbd_ioctx, name, **options)
        with rbd.Image(rbd_ioctx, name) as other:
            assert transfer.digest(other) == reference_digest(data)
            other.write(bytes(100_000), 5 * MIB + 3)
            assert transfer.digest(other) == reference_digest(data)
            other.write(b"\x01", SIZE // 2 + 3)
            assert transfer.digest(other) != reference_digest(data)
    rbd.RBD().create(rbd_ioctx, "empty", 0)
    rbd.RBD().create(rbd_ioctx, "holes", 1 << 44)
    with rbd.Image(rbd_ioctx, "empty") as empty, rbd.Image(rbd_ioctx, "holes") as holes:
        assert transfer.digest(empty) == reference_digest(b"")
        expected = hashlib.sha256(b"rbd extents digest v1\n" + (1 << 44).to_bytes(8, "little"))
        assert transfer.digest(holes) == expected.hexdigest()


def test_a_digest_refuses_wrong_arguments(image: rbd.Image) -> None:
    for arguments, error in (
        ((None,), TypeError),
        ((image, None), TypeError),
        ((image, 3), TypeError),
        ((image, "none"), ValueError),
        ((image, "shake_256"), ValueError),
    ):
        with pytest.raises(error):
            transfer.digest(*arguments)
    with pytest.raises(rbd.OperationCanceled):
        transfer.digest(image, on_progress=lambda done, total: -1)


def test_the_page_documents_the_banner() -> None:
    assert re.search("rbd extents digest v1", transfer.digest.__doc__ or "")


@pytest.mark.parametrize("device", [0, 8])
@pytest.mark.parametrize("distance", [0, 4096, 17])
def test_the_system_copies_where_a_file_system_may_share_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: int, distance: int
) -> None:
    """It copies between equal places in blocks, and on file systems without a device."""
    data = os.urandom(3 * MIB + 5)
    source = tmp_path / "source"
    source.write_bytes(data)
    asked: List[int] = []
    real = os.copy_file_range

    def copy_file_range(source: int, dest: int, length: int, start: int) -> int:
        asked.append(length)
        return real(source, dest, length, start)

    monkeypatch.setattr(os, "major", lambda _: device)
    monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    with Source(str(source)) as opened, Sink(str(tmp_path / "dest"), fsync=False) as sink:
        sink.write(bytes(distance))
        sink.copy(opened, 0, len(data))
        sink.copy(opened, 1, 2)
        assert opened.position == 0
    assert (tmp_path / "dest").read_bytes() == bytes(distance) + data + data[1:3]
    shared = distance % 4096 == 0 or device == 0
    assert (len(data) in asked) == shared
