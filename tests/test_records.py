"""Records of extents in memory: which are taken, and which are left to the caller."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, List, Tuple

import pytest

import rbd
from rbd import _core, transfer
from rbd.transfer import formats
from rbd.transfer.source import Source
from support.stream_files import Record, make_diff

LIMIT = 1 << 20


def body(records: List[Record], version: int) -> bytes:
    """Return only the records, with the end of the diff."""
    return make_diff(records, size=None, version=version)[len(formats.DIFF_BANNERS[1]) :]


def listed(view: Any, version: int, limit: int = LIMIT) -> Tuple[int, List[Tuple[int, int, bool]]]:
    found: List[Tuple[int, int, bool]] = []
    length = _core._list_records(view, version, limit, found)
    assert _core._skip_records(view, version, limit) == length
    return length, found


@pytest.mark.parametrize("version", [1, 2])
def test_whole_records_are_taken(version: int) -> None:
    stream = body([("w", 5, b"data"), ("z", 100, LIMIT - 100), ("w", 7, b"")], version)
    expected = [(5, 4, True), (100, LIMIT - 100, False), (7, 0, True)]
    ends = [0]
    for _, length, data in expected:
        ends.append(ends[-1] + (17 if version == 1 else 25) + (length if data else 0))
    # The end is not an extent, and a truncated record is not whole.
    assert ends[-1] == len(stream) - 1
    for size in range(len(stream) + 1):
        count = sum(end <= size for end in ends) - 1
        assert listed(stream[:size], version) == (ends[count], expected[:count])
    assert listed(memoryview(stream)[ends[1] :], version) == (ends[-1] - ends[1], expected[1:])


def test_damaged_records_are_left() -> None:
    huge = (1 << 64) - 1
    for record in (("z", 0, LIMIT + 1), ("z", LIMIT, 1), ("z", huge, huge), ("z", 1, huge)):
        assert listed(body([record], 1), 1) == (0, [])
    assert listed(body([("z", huge, 0)], 1), 1, huge) == (17, [(huge, 0, False)])
    stream = bytearray(body([("w", 5, b"data")], 2))
    assert listed(stream, 2)[0] == 29
    stream[1] += 1
    assert listed(stream, 2) == (0, [])
    for tag in (b"e", b"f", b"s", b"x"):
        assert listed(tag + body([("z", 0, 1)], 1), 1) == (0, [])
    for wrong in (None, "text", 5):
        with pytest.raises(TypeError):
            _core._skip_records(wrong, 1, LIMIT)


@pytest.mark.parametrize("version", [1, 2])
def test_a_reader_leaves_the_rest_to_others(version: int, tmp_path: Path) -> None:
    """Records across the end of what is read ahead, and long ones, come one by one."""
    chance = random.Random(version)
    records: List[Record] = []
    for at in range(3000):
        if at % 500 == 499:
            records.append(("w", at * 4096, chance.randbytes(600_000)))
        elif at % 3:
            records.append(("w", at * 4096, chance.randbytes(chance.randrange(1, 4096))))
        else:
            records.append(("z", at * 4096, chance.randrange(1, 4096)))
    path = tmp_path / "diff"
    path.write_bytes(make_diff(records, size=1 << 30, version=version))
    expected = [(at, len(d) if kind == "w" else d, kind == "w") for kind, at, d in records]
    found: List[Tuple[int, int, bool]] = []

    def take(view: memoryview, version: int, limit: int) -> int:
        assert limit == 1 << 30
        return _core._list_records(view, version, limit, found)

    one_by_one = 0
    with Source(path, "sha256") as source:
        for extent in formats.DiffReader(source).extents(take):
            one_by_one += 1
            found.append((extent.offset, extent.length, extent.data))
            source.skip(extent.length if extent.data else 0)
        assert source.position == path.stat().st_size
        digest = source.checksum
    assert found == expected
    assert 6 <= one_by_one < 60
    # All bytes were hashed once.
    assert transfer.verify(path, checksum="sha256") == digest
    assert transfer.describe(path).diffs[0].extents == expected
    # Truncation and damage are reported with their position.
    data = path.read_bytes()
    for cut in (1, 4096, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:-cut])
        with pytest.raises(rbd.StreamError) as caught:
            transfer.verify(path)
        assert caught.value.position == len(data) - cut
