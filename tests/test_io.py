"""Reading and writing: values, the image's end, buffers, and numbers out of range."""

from __future__ import annotations

import array
import asyncio
import ctypes
import mmap
import os
from typing import Any, Callable, List, Tuple

import numpy as np
import pytest

import rbd
import rbd.aio

SIZE = 8 << 20  # of the rbd_image fixture

BUFFERS: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    lambda data: array.array("B", data),
    lambda data: array.array("I", data),
    lambda data: np.frombuffer(data, np.uint8),
    lambda data: np.frombuffer(data, "<f8").reshape(2, -1),
    lambda data: (ctypes.c_char * len(data)).from_buffer_copy(data),
]


def pattern(length: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(length)


@pytest.mark.parametrize("make", BUFFERS)
def test_any_buffer_can_be_written(rbd_image: rbd.Image, make: Callable[[bytes], Any]) -> None:
    data = pattern(4096)
    assert rbd_image.write(make(data), 1000) == 4096
    assert rbd_image.read(999, 4098) == b"\0" + data + b"\0"


@pytest.mark.parametrize(
    "make",
    [
        bytearray,
        lambda n: memoryview(bytearray(n)),
        lambda n: array.array("H", bytes(n)),
        lambda n: mmap.mmap(-1, n),
        lambda n: np.zeros((4, n // 16), "<u4"),
        lambda n: (ctypes.c_char * n)(),
    ],
)
def test_any_writable_buffer_can_be_read_into(
    rbd_image: rbd.Image, make: Callable[[int], Any]
) -> None:
    data = pattern(4096)
    rbd_image.write(data, 0)
    target = make(4096)
    assert rbd_image.readinto(target, 0) == 4096
    assert bytes(memoryview(target).cast("B")) == data


def test_a_large_array_round_trips(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "large", 64 << 20)
    values = np.random.default_rng(1).random(8 << 20)
    with rbd.Image(rbd_ioctx, "large") as image:
        assert image.write(values, 0) == values.nbytes == 64 << 20
        back = np.empty_like(values)
        assert image.readinto(back, 0) == 64 << 20
    assert np.array_equal(values.view(np.uint64), back.view(np.uint64))


def test_arguments_may_be_keywords(rbd_image: rbd.Image) -> None:
    assert rbd_image.write(data=b"abc", offset=5, fadvise_flags=0) == 3
    assert rbd_image.read(offset=5, length=3, fadvise_flags=0) == b"abc"
    target = bytearray(3)
    assert rbd_image.readinto(buffer=target, offset=5, fadvise_flags=0) == 3
    assert target == b"abc"
    assert rbd_image.write_zeroes(offset=5, length=3, zero_flags=0) is None
    assert rbd_image.read(5, 3) == bytes(3)
    assert rbd_image.discard(offset=0, length=1 << 20) is None


@pytest.mark.parametrize("flags", [0, 0x4, 0x8, 0x10, 0x20, 0x40])
def test_fadvise_flags_are_accepted(rbd_image: rbd.Image, flags: int) -> None:
    assert rbd_image.write(b"abc", 0, flags) == 3
    assert rbd_image.read(0, 3, flags) == b"abc"


def test_empty_calls_do_nothing(rbd_image: rbd.Image) -> None:
    assert rbd_image.read(0, 0) == b""
    assert rbd_image.write(b"", 0) == 0
    assert rbd_image.readinto(bytearray(), 0) == 0


def test_read_across_the_end_is_short(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"tail", SIZE - 4)
    assert rbd_image.read(SIZE - 4, 100) == b"tail"
    target = bytearray(100)
    assert rbd_image.readinto(target, SIZE - 4) == 4
    assert target == b"tail" + bytes(96)


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 + 10, 2**63, 2**64 - 1])
def test_a_huge_read_is_clipped_to_the_image(rbd_image: rbd.Image, length: int) -> None:
    rbd_image.write(b"tail", SIZE - 4)
    assert rbd_image.read(SIZE - 4, length) == b"tail"
    assert len(rbd_image.read(0, length)) == SIZE


@pytest.mark.parametrize("offset", [SIZE, SIZE + 1, 2**40, 2**64 - 1])
@pytest.mark.parametrize("length", [1, 2**40])
def test_a_read_outside_the_image_is_refused(
    rbd_image: rbd.Image, offset: int, length: int
) -> None:
    with pytest.raises(rbd.InvalidArgument) as caught:
        rbd_image.read(offset, length)
    assert caught.value.errno == 22


def test_write_across_the_end_is_incomplete(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.IncompleteWriteError) as caught:
        rbd_image.write(b"12345678", SIZE - 4)
    assert caught.value.errno is None
    # The words that programs look for.
    assert "wrote only 4 out of 8 bytes" in str(caught.value)
    assert rbd_image.read(SIZE - 4, 4) == b"1234"


@pytest.mark.parametrize("offset", [SIZE, SIZE + 1, 2**63])
def test_a_write_outside_the_image_is_refused(rbd_image: rbd.Image, offset: int) -> None:
    with pytest.raises(rbd.InvalidArgument) as caught:
        rbd_image.write(b"x", offset)
    assert caught.value.errno == 22


CALLS: list[Callable[[rbd.Image, Any, Any], Any]] = [
    lambda image, a, b: image.read(a, b),
    lambda image, a, b: image.discard(a, b),
    lambda image, a, b: image.write_zeroes(a, b),
    lambda image, a, b: image.write(b"x", a),
    lambda image, a, b: image.readinto(bytearray(1), a),
    lambda image, a, b: image.write_same(b"x", a, b),
    lambda image, a, b: image.compare_and_write(b"x", b"y", a),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", [-1, -(2**63), 2**64, 2**100])
def test_numbers_out_of_range(rbd_image: rbd.Image, call: Any, bad: int) -> None:
    with pytest.raises(OverflowError):
        call(rbd_image, bad, 1)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", [1.0, "1", None, b"1", float("nan")])
def test_offsets_must_be_numbers(rbd_image: rbd.Image, call: Any, bad: Any) -> None:
    with pytest.raises(TypeError):
        call(rbd_image, bad, 1)


def test_index_objects_are_accepted_as_numbers(rbd_image: rbd.Image) -> None:
    assert rbd_image.write(b"abc", np.int64(2)) == 3
    assert rbd_image.read(np.uint8(2), True) == b"a"


def test_a_str_is_not_accepted_as_a_buffer(rbd_image: rbd.Image) -> None:
    with pytest.raises(TypeError, match="str"):
        rbd_image.write("text", 0)
    with pytest.raises(TypeError, match="list"):
        rbd_image.write([1, 2], 0)


def test_read_only_buffers_cannot_be_read_into(rbd_image: rbd.Image) -> None:
    frozen = np.zeros(8, np.uint8)
    frozen.flags.writeable = False
    for target in (b"12345678", memoryview(b"12345678"), frozen):
        with pytest.raises(TypeError, match="read-only"):
            rbd_image.readinto(target, 0)


def test_buffers_must_be_contiguous(rbd_image: rbd.Image) -> None:
    grid = np.zeros((8, 8), np.uint8)
    for view in (
        grid[:, :4],
        grid[::2],
        np.asfortranarray(np.zeros((3, 4))),
        memoryview(b"abcd")[::2],
    ):
        with pytest.raises(BufferError, match="contiguous"):
            rbd_image.write(view, 0)
    with pytest.raises(BufferError, match="contiguous"):
        rbd_image.readinto(grid[:, 4:], 0)


def test_the_buffer_is_released_after_the_call(rbd_image: rbd.Image) -> None:
    data = bytearray(b"12345678")
    rbd_image.write(data, 0)
    rbd_image.readinto(data, 0)
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.readinto(data, SIZE)
    data.extend(b"x")  # a held buffer could not be resized


def test_a_read_only_image_refuses_changes(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    with rbd.Image(rbd_ioctx, rbd_image.name, read_only=True) as image:
        for call in (
            lambda: image.write(b"x", 0),
            lambda: image.discard(0, 1),
            lambda: image.write_zeroes(0, 1),
            lambda: image.resize(SIZE * 2),
            lambda: image.create_snap("s"),
        ):
            with pytest.raises(rbd.ReadOnlyImage) as caught:
                call()
            assert caught.value.errno == 30


def test_discard_reads_as_zeroes(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"\xff" * (3 << 20), 0)
    rbd_image.discard(1 << 20, 1 << 20)
    assert rbd_image.read(1 << 20, 1 << 20) == bytes(1 << 20)
    assert rbd_image.read(2 << 20, 16) == b"\xff" * 16


def test_a_discard_may_cover_two_gib_and_more(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "huge", 5 << 30)
    with rbd.Image(rbd_ioctx, "huge") as image:
        marks = [0, (1 << 30) + 5, (2 << 30) + 7, (5 << 30) - 4]
        for offset in marks:
            image.write(b"mark", offset)
        image.discard(0, 5 << 30)
        assert [image.read(offset, 4) for offset in marks] == [bytes(4)] * 4
        for offset in marks:
            image.write(b"mark", offset)
        image.write_zeroes(0, 5 << 30)
        assert [image.read(offset, 4) for offset in marks] == [bytes(4)] * 4


@pytest.mark.parametrize("stripes", [{}, {"stripe_unit": 4096, "stripe_count": 3}])
@pytest.mark.parametrize("aligned", [True, False])
def test_a_discard_of_more_than_a_gib_leaves_nothing_in_the_middle(
    rbd_ioctx: rbd.rados.Ioctx, stripes: Any, aligned: bool
) -> None:
    rbd.RBD().create(rbd_ioctx, "huge", 4 << 30, **stripes)
    with rbd.Image(rbd_ioctx, "huge") as image:
        offset = 0 if aligned else 69632
        # librbd discards whole blocks of 64 KiB of each object.
        around = range(1 << 30, 4 << 30, 1 << 30)
        for start in around:
            image.write(b"\xff" * (2 << 20), start - (1 << 20))
        image.discard(offset, (4 << 30) - offset)
        for start in around:
            assert image.read(start - (1 << 20), 2 << 20).count(b"\0") == 2 << 20


def test_a_read_may_return_more_than_four_gib(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "huge", (4 << 30) + 10)
    with rbd.Image(rbd_ioctx, "huge") as image:
        image.write(b"end", (4 << 30) + 7)
        target = mmap.mmap(-1, (4 << 30) + 10)
        assert image.readinto(target, 0) == (4 << 30) + 10
        assert target[-4:] == b"\0end"
        target.close()


def test_write_same_repeats_its_data(rbd_image: rbd.Image) -> None:
    assert rbd_image.write_same(b"\x01\x02" * 256, 4096, 1 << 20) == 1 << 20
    assert rbd_image.read(4096, 1 << 20) == b"\x01\x02" * (1 << 19)
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.write_same(b"abc", 0, 10)


def test_compare_and_write_writes_only_equal_data(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"A" * 512, 0)
    assert rbd_image.compare_and_write(b"A" * 512, b"B" * 512, 0) == 512
    with pytest.raises(rbd.CompareMismatch) as caught:
        rbd_image.compare_and_write(b"B" * 100 + b"C" + b"B" * 411, b"D" * 512, 0)
    assert caught.value.offset == 100
    assert caught.value.errno == 84
    # Ceph 14's cache returns the old data.
    rbd_image.invalidate_cache()
    assert rbd_image.read(0, 512) == b"B" * 512
    with pytest.raises(ValueError, match="same size"):
        rbd_image.compare_and_write(b"A", b"AB", 0)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param({}, id="plain"),
        pytest.param(
            {"features": 3, "stripe_unit": 4096, "stripe_count": 3, "order": 16}, id="striped"
        ),
    ],
)
@pytest.mark.needs("rbd_compare_and_write", "rbd_aio_compare_and_write")
def test_a_failed_comparison_names_the_first_difference(
    rbd_ioctx: rbd.rados.Ioctx, image: dict[str, Any]
) -> None:
    rbd.RBD().create(rbd_ioctx, "compared", 4 << 20, **image)
    with rbd.Image(rbd_ioctx, "compared") as compared:
        wrapped = rbd.aio.AsyncImage(compared)
        for offset in (512, 4096 * 5 + 1024, (3 << 20) + 2048):
            for differs in (0, 300, 511):
                expected = bytes(differs) + b"\1" + bytes(511 - differs)
                with pytest.raises(rbd.CompareMismatch) as caught:
                    compared.compare_and_write(expected, b"D" * 512, offset)
                assert caught.value.offset == offset + differs
                with pytest.raises(rbd.CompareMismatch) as caught:
                    asyncio.run(wrapped.compare_and_write(expected, b"D" * 512, offset))
                assert caught.value.offset == offset + differs


def test_read_iterate_visits_data_and_holes(rbd_image: rbd.Image) -> None:
    """Object by object (1 MiB each), with data and holes."""
    data = os.urandom(4096)
    rbd_image.write(data, (2 << 20) + 4096)
    found: List[Tuple[int, int, Any]] = []
    assert rbd_image.read_iterate(1 << 20, 2 << 20, lambda *piece: found.append(piece)) is None
    assert [offset for offset, _, _ in found] == [1 << 20, 2 << 20]
    together = b"".join(bytes(length) if piece is None else piece for _, length, piece in found)
    assert together == rbd_image.read(1 << 20, 2 << 20)


def test_a_callback_ends_read_iterate(rbd_image: rbd.Image) -> None:
    calls = []

    def stop(*piece: Any) -> int:
        calls.append(piece)
        return -rbd.ECANCELED

    with pytest.raises(rbd.OperationCanceled):
        rbd_image.read_iterate(0, 8 << 20, stop)
    assert len(calls) == 1
    with pytest.raises(ZeroDivisionError):
        rbd_image.read_iterate(0, 8 << 20, lambda *piece: 1 // 0)
    with pytest.raises(TypeError):
        rbd_image.read_iterate(0, 8 << 20, lambda *piece: "text")
    with pytest.raises(TypeError):
        rbd_image.read_iterate(0, 8 << 20, None)
    with pytest.raises(OverflowError):
        rbd_image.read_iterate(-1, 1, print)
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.read_iterate(0, 1, print)


def test_a_closed_image_refuses_every_call(rbd_image: rbd.Image) -> None:
    rbd_image.close()
    for call in CALLS:
        with pytest.raises(rbd.InvalidArgument) as caught:
            call(rbd_image, 0, 1)
        assert caught.value.errno is None
