"""Merged extents of two diffs are compared with the bytes of a model."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, List, Tuple

import pytest

import rbd
from rbd import _core, transfer
from support.stream_files import Record, apply_records, make_diff, parse_diff

SIZE = 2 << 20


def records(chance: random.Random, count: int, longest: int) -> List[Record]:
    """Return records at random places, which may overlap."""
    made: List[Record] = []
    for _ in range(count):
        offset = chance.randrange(SIZE)
        length = min(chance.randrange(1, longest), SIZE - offset)
        if chance.random() < 0.7:
            made.append(("w", offset, chance.randbytes(length)))
        else:
            made.append(("z", offset, length))
    return made


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("count", "longest"), [(2000, 3000), (30, 400_000), (0, 2)])
def test_merged_files_have_the_model_s_bytes(
    version: int, count: int, longest: int, tmp_path: Path
) -> None:
    chance = random.Random(count + version)
    before = chance.randbytes(SIZE)
    one, two = records(chance, count, longest), records(chance, count, longest)
    first, second, dest = (tmp_path / name for name in ("first", "second", "dest"))
    first.write_bytes(make_diff(one, size=SIZE, end="a", version=version))
    second.write_bytes(make_diff(two, size=SIZE, start="a", version=3 - version))
    seen: List[Tuple[int, int]] = []
    digest = transfer.merge_diff(
        first,
        second,
        dest,
        diff_format=version,
        checksum="sha256",
        on_progress=lambda *told: seen.append(told),
    )
    header, found = parse_diff(dest.read_bytes())
    assert header.size == SIZE
    expected = apply_records(apply_records(before, SIZE, one), SIZE, two)
    assert apply_records(before, SIZE, found) == expected
    assert [at for _, at, _ in found] == sorted(at for _, at, _ in found)
    assert seen[-1] == (SIZE, SIZE)
    # Without a digest, the system copies long data. The bytes are the same.
    transfer.merge_diff(first, second, tmp_path / "again", diff_format=version)
    assert (tmp_path / "again").read_bytes() == dest.read_bytes()
    assert transfer.verify(tmp_path / "again", checksum="sha256") == digest
    with (tmp_path / "appended").open("ab") as file:
        file.write(b"before")
        transfer.merge_diff(first, second, file, diff_format=version)
    assert (tmp_path / "appended").read_bytes() == b"before" + dest.read_bytes()


def test_merging_starts_and_ends_within_files(tmp_path: Path) -> None:
    """Streams that begin in the middle of a file, and a result after existing data."""
    one, two = make_diff([("w", 0, b"x" * 100_000)], end="a"), make_diff([], start="a")
    path = tmp_path / "both"
    path.write_bytes(b"junk" + one + two)
    with path.open("rb") as first, path.open("rb") as second, (tmp_path / "to").open("wb") as dest:
        first.seek(4)
        second.seek(4 + len(one))
        dest.write(b"there")
        transfer.merge_diff(first, second, dest)
        assert first.tell() == 4 + len(one)
        assert second.tell() == path.stat().st_size
        assert dest.tell() == (tmp_path / "to").stat().st_size
    data = (tmp_path / "to").read_bytes()
    assert data[:5] == b"there"
    assert parse_diff(data[5:])[1] == [("w", 0, b"x" * 100_000)]


@pytest.mark.parametrize("length", [1000, 300_000])
def test_a_source_that_shrinks_is_an_error(length: int, tmp_path: Path) -> None:
    """The error has its position, and the destination does not change."""
    first, second, dest = (tmp_path / name for name in ("first", "second", "dest"))
    first.write_bytes(make_diff([("w", 0, os.urandom(length))], end="a"))
    second.write_bytes(make_diff([("z", SIZE // 2, 10)], start="a", size=SIZE))
    dest.write_bytes(b"old")
    cut: List[int] = []

    def shorten(*_: Any) -> None:
        if not cut:
            cut.append(100)
            os.truncate(first, 100)

    # The first stream is longer than what is written at once, so that progress is reported before
    # its end.
    with first.open("r+b") as file:
        data = file.read()
        file.seek(0)
        parts = [("w", at, b"y" * 1000) for at in range(0, 2_000_000, 1000)]
        parts.append(("w", 2_010_000, os.urandom(min(length, SIZE - 2_010_000))))
        file.write(make_diff(parts, end="a", size=SIZE))
        assert len(data) < file.tell()
    with pytest.raises(rbd.StreamError, match="truncated") as caught:
        transfer.merge_diff(first, second, dest, on_progress=shorten)
    assert caught.value.position >= 100
    assert dest.read_bytes() == b"old"


def test_later_extents_hide_earlier_ones() -> None:
    merged = _core._Merge()
    merged.add(0, 100, 0, 1000)
    merged.add(50, 10, 1, 5)
    merged.add(55, 100, 0, -1)
    merged.add(10, 0, 1, 7)
    merged.add_below(0, 1 << 40)
    found = list(iter(lambda: merged.next(200), None))
    assert found == [(0, 50, 0, 1000), (50, 55, 1, 5), (55, 155, 0, -1), (155, 200, 0, -1)]
    assert merged.next(200) is None
    for wrong in ((-1, 1, 0, 0), (0, 1 << 64, 0, 0)):
        with pytest.raises(OverflowError):
            merged.add(*wrong)
