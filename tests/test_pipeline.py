"""The ring of memory between an image and a stream: order, bounds, errors."""

from __future__ import annotations

import os
import random
from typing import Any, List, Tuple

import pytest

import rbd
from rbd import _pipeline as pipeline
from support.stream_files import make_diff

MIB = 1 << 20


def read(image: rbd.Image, extents: List[Tuple[int, int, bool]], depth: int, grain: int = 0) -> Any:
    return [
        (chunk.offset, chunk.length, None if chunk.view is None else bytes(chunk.view))
        for chunk in pipeline.read_chunks(image, extents, depth, grain)
    ]


def test_extents_come_in_order(rbd_image: rbd.Image) -> None:
    data = os.urandom(8 * MIB)
    rbd_image.write(data, 0)
    extents = [(at * 5000 % (8 * MIB), at * 37 % 9000 + 1, at % 3 > 0) for at in range(1500)]
    extents = [(o, min(n, 8 * MIB - o), e) for o, n, e in extents]
    for depth in (1, 4, 64):
        got = iter(read(rbd_image, extents, depth))
        for offset, length, exists in extents:
            found = b""
            while len(found) < length:
                at, count, part = next(got)
                assert at == offset + len(found)
                assert (part is not None) == exists
                found += bytes(count) if part is None else part
            if exists:
                assert found == data[offset : offset + length]
        assert next(got, None) is None


def test_zeroes_are_found(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"x" * 4096, 8192)
    assert read(rbd_image, [(0, MIB, True)], 4, 4096) == [
        (0, 8192, None),
        (8192, 4096, b"x" * 4096),
        (12288, MIB - 12288, None),
    ]
    assert read(rbd_image, [(20000, 5000, True)], 4) == [(20000, 5000, None)]
    assert read(rbd_image, [(12287, 2, True)], 4) == [(12287, 2, b"x\0")]
    assert read(rbd_image, [], 4) == []


@pytest.mark.parametrize("seed", range(4))
def test_near_extents_are_read_together(rbd_image: rbd.Image, seed: int) -> None:
    """They are read together, and returned one by one."""
    chance = random.Random(seed)
    data = bytearray(chance.randbytes(8 * MIB))
    extents = []
    at = 0
    while at < 8 * MIB:
        length = min(chance.choice((1, 512, 4096, 70_000)), 8 * MIB - at)
        extents.append((at, length, chance.random() < 0.7))
        if chance.random() < 0.2:
            data[at : at + length] = bytes(length)
        at += length + chance.choice(
            (0, 1, 4096, pipeline.GAP, pipeline.GAP + 1, 4 * pipeline.GAP, 4 * pipeline.GAP + 1)
        )
    rbd_image.write(data, 0)
    # Data that are all zero come as zeroes. An extent across a piece's end comes in two parts.
    expected = []
    for offset, length, exists in extents:
        middle = min(length, pipeline.PIECE - offset % pipeline.PIECE) if exists else length
        for start, end in ((offset, offset + middle), (offset + middle, offset + length)):
            part = bytes(data[start:end])
            if part:
                expected.append((start, len(part), part if exists and any(part) else None))
    for depth in (1, 32):
        assert read(rbd_image, extents, depth) == expected


def test_near_extents_of_a_shrunken_image_are_an_error(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"x" * MIB, 7 * MIB)
    extents = [(7 * MIB + at * 8192, 4096, True) for at in range(32)]
    rbd_image.resize(7 * MIB + 5 * 8192 + 100)
    with pytest.raises(rbd.StreamError) as caught:
        read(rbd_image, extents, 4)
    assert caught.value.position == rbd_image.size()


@pytest.mark.parametrize("memory", [100_000, 90_112, 30_016])
def test_extents_larger_than_the_ring_are_read(
    rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    data = os.urandom(8 * MIB)
    rbd_image.write(data, 0)
    monkeypatch.setattr(pipeline, "MEMORY", memory)
    monkeypatch.setattr(pipeline, "WRITE_MEMORY", memory)
    monkeypatch.setattr(pipeline, "PIECE", 30_000)
    parts = read(rbd_image, [(0, 8 * MIB, True)], 8)
    assert b"".join(part for _, _, part in parts) == data
    with pipeline.ImageWriter(rbd_image, 8, 0) as writer:
        for at in range(0, 8 * MIB, 30_000):
            part = data[at : at + 30_000][::-1]
            writer.space(len(part))[:] = part
            writer.write(at, len(part))
    expected = b"".join(data[at : at + 30_000][::-1] for at in range(0, 8 * MIB, 30_000))
    assert rbd_image.read(0, 8 * MIB) == expected


def test_overlapping_writes_keep_their_order(rbd_image: rbd.Image) -> None:
    with pipeline.ImageWriter(rbd_image, 32, 0) as writer:
        for at in range(200):
            writer.space(1000)[:] = bytes([at]) * 1000
            writer.write(at * 7 % 100, 1000)
            if at % 10 == 0:
                writer.zero(50, 100)
    model = bytearray(2000)
    for at in range(200):
        model[at * 7 % 100 : at * 7 % 100 + 1000] = bytes([at]) * 1000
        if at % 10 == 0:
            model[50:150] = bytes(100)
    assert rbd_image.read(0, 2000) == bytes(model)


@pytest.mark.parametrize("depth", [1, 2, 3, 32])
def test_writes_far_apart_are_all_made(
    rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    # Room for 128 blocks: many of them wait to be submitted.
    monkeypatch.setattr(pipeline, "WRITE_MEMORY", 512 << 10)
    size = 40 * MIB
    rbd_image.resize(size)
    chance = random.Random(depth)
    places = sorted(chance.sample(range(size // 4096), 600))
    data = {at * 4096: chance.randbytes(4096) for at in places}
    with pipeline.ImageWriter(rbd_image, depth, 4096) as writer:
        for number, (at, block) in enumerate(data.items()):
            if number % 7 == 0:
                writer.zero(at, 4096)
                data[at] = bytes(4096)
            else:
                writer.space(4096)[:] = block
                writer.write(at, 4096)
    model = bytearray(size)
    for at, block in data.items():
        model[at : at + 4096] = block
    assert rbd_image.read(0, size) == bytes(model)


def test_a_write_reports_whether_there_was_data(rbd_image: rbd.Image) -> None:
    for sparse_size in (0, 4096):
        with pipeline.ImageWriter(rbd_image, 4, sparse_size) as writer:
            writer.space(16384)[:] = bytes(16384)
            assert writer.write(0, 16384) == (sparse_size == 0)
            # This one waits for the earlier one, which it overlaps.
            writer.space(16384)[:] = bytes(16383) + b"x"
            assert writer.write(8192, 16384)
            writer.space(10)
            assert not writer.write(MIB, 0) or sparse_size == 0
        assert rbd_image.read(0, 24576) == bytes(24575) + b"x"
        rbd_image.discard(0, MIB)


def test_runs_of_zeroes_are_left_out(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"\xff" * 65536, 0)
    with pipeline.ImageWriter(rbd_image, 32, 4096, fresh=True) as writer:
        writer.space(65536)[:] = bytes(8192) + b"x" + bytes(65536 - 8193)
        writer.write(0, 65536)
    expected = b"\xff" * 8192 + b"x" + bytes(4095) + b"\xff" * (65536 - 12288)
    assert rbd_image.read(0, 65536) == expected


def test_whole_records_are_written(rbd_image: rbd.Image) -> None:
    """A record that overlaps earlier ones, and one beyond the ring, are left to the caller."""
    rbd_image.write(b"\xff" * 65536, 0)
    records: List[Any] = [
        ("w", 0, os.urandom(5000)),
        ("z", 6000, 1000),
        ("w", 9000, bytes(20_000)),
        ("w", 40_000, b""),
    ]
    behind = ("w", 28_999, b"y")
    for fresh in (True, False):
        model = bytearray(rbd_image.read(0, 65536))
        stream = make_diff([*records, behind], size=None)[12:]
        whole = make_diff(records, size=None)[12:-1]
        with pipeline.ImageWriter(rbd_image, 32, 4096, fresh=fresh) as writer:
            assert writer.take(memoryview(stream), 1, 65536) == len(whole)
            assert writer.take(memoryview(stream)[len(whole) :], 1, 65536) == 0
            writer.drain()
            assert writer.take(memoryview(stream)[len(whole) :], 1, 28_999) == 0
            assert writer.take(memoryview(stream)[len(whole) :], 1, 65536) == 18
            long = memoryview(
                make_diff([("w", 0, bytes(pipeline.WRITE_MEMORY + 1))], size=None)[12:]
            )
            assert writer.take(long, 1, 1 << 30) == 0
        for kind, at, what in [*records, behind]:
            if kind == "w" and any(what):
                model[at : at + len(what)] = what
            elif not fresh:
                model[at : at + (what if kind == "z" else len(what))] = bytes(
                    what if kind == "z" else len(what)
                )
        assert rbd_image.read(0, 65536) == bytes(model)


def test_zeroes_are_written_only_over_data(rbd_image: rbd.Image) -> None:
    """Zeroes are left out where nothing was written before, and written where something was."""
    with pipeline.ImageWriter(rbd_image, 32, 4096, fresh=True) as writer:
        writer.space(MIB)[:] = b"x" * MIB
        writer.write(0, MIB)
        writer.zero(8192, 8192)
        writer.space(MIB)[:] = bytes(MIB)
        writer.write(MIB // 2, MIB)
        writer.zero(4 * MIB, MIB)
    expected = b"x" * 8192 + bytes(8192) + b"x" * (MIB // 2 - 16384) + bytes(MIB // 2)
    assert rbd_image.read(0, MIB) == expected
    assert all(at < MIB for at, _, exists in rbd_image.diff() if exists)


def test_errors_are_raised(rbd_image: rbd.Image, rbd_ioctx: Any) -> None:
    with rbd.Image(rbd_ioctx, rbd_image.get_name(), read_only=True) as image:
        writer = pipeline.ImageWriter(image, 4, 0)
        writer.space(10)
        writer.write(0, 10)
        with pytest.raises(rbd.ReadOnlyImage):
            writer.drain()
        writer._pipeline.close()
    with pytest.raises(rbd.StreamError, match="shrank") as caught:
        read(rbd_image, [(rbd_image.size() - 10, 20, True)], 4)
    assert caught.value.position == rbd_image.size()
    with pytest.raises(rbd.StreamError):
        read(rbd_image, [(rbd_image.size() + 10, 20, True)], 4)
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument, match="closed"):
        read(rbd_image, [(0, 20, True)], 4)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="queue_depth"):
            pipeline.check_queue_depth(wrong)
    with pytest.raises(TypeError):
        pipeline.check_queue_depth(True)
