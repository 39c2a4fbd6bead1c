"""Many blocks, or many buffers, in one call."""

from __future__ import annotations

import array
import asyncio
import mmap
import os
import random
import signal
import threading
import time
from typing import Any, Callable, List, Optional, Tuple, Type

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rbd
import rbd.aio
from support import isolated
from support.location import Where, open_all, raised_by

SIZE = 8 << 20
BLOCK = 4096
#: The class, the index and the offset of an error of a batch.
Failure = Optional[Tuple[Type[Exception], Optional[int], Optional[int]]]


@pytest.fixture
def filled(rbd_image: rbd.Image) -> bytes:
    content = random.Random(7).randbytes(SIZE)
    rbd_image.write(content, 0)
    return content


def outcome(call: Callable[[], object]) -> Failure:
    """Return the error that the call raises."""
    try:
        call()
    except rbd.Error as error:
        return type(error), error.index, error.offset
    return None


def shuffled(count: int) -> List[int]:
    offsets = [i * BLOCK for i in range(SIZE // BLOCK)]
    random.Random(5).shuffle(offsets)
    return offsets[:count]


@pytest.mark.parametrize("queue_depth", [1, 2, 7, 64, 1000])
def test_read_blocks_returns_the_blocks_in_order(
    rbd_image: rbd.Image, filled: bytes, queue_depth: int
) -> None:
    offsets = shuffled(300)
    data = rbd_image.read_blocks(offsets, BLOCK, queue_depth=queue_depth)
    assert type(data) is bytearray
    assert data == b"".join(filled[at : at + BLOCK] for at in offsets)


@pytest.mark.parametrize("queue_depth", [1, 2, 7, 64, 1000])
def test_write_blocks_writes_only_its_blocks(rbd_image: rbd.Image, queue_depth: int) -> None:
    offsets = shuffled(300)
    data = os.urandom(300 * BLOCK)
    assert rbd_image.write_blocks(data, offsets, queue_depth=queue_depth) == len(data)
    whole = rbd_image.read(0, SIZE)
    for i, at in enumerate(offsets):
        assert whole[at : at + BLOCK] == data[i * BLOCK : (i + 1) * BLOCK]
    unwritten = set(range(0, SIZE, BLOCK)) - set(offsets)
    assert all(whole[at : at + BLOCK] == bytes(BLOCK) for at in unwritten)


@pytest.mark.parametrize(
    "kind",
    [
        list,
        tuple,
        iter,
        lambda numbers: array.array("q", numbers),
        lambda numbers: array.array("Q", numbers),
        lambda numbers: array.array("I", numbers),
        lambda numbers: memoryview(array.array("L", numbers)),
        lambda numbers: memoryview(array.array("q", [n for at in numbers for n in (at, 1)]))[::2],
    ],
    ids=["list", "tuple", "iterator", "int64", "uint64", "uint32", "memoryview", "strided"],
)
def test_offsets_may_be_of_any_kind(
    rbd_image: rbd.Image, filled: bytes, kind: Callable[[List[int]], Any]
) -> None:
    offsets = shuffled(20)
    data = rbd_image.read_blocks(kind(offsets), BLOCK)
    assert data == b"".join(filled[at : at + BLOCK] for at in offsets)


def test_arrays_of_small_integers_are_offsets(rbd_image: rbd.Image, filled: bytes) -> None:
    for offsets in (b"\x00\x05\xff", array.array("b", [0, 5]), range(0, 60, 20), (True, False)):
        expected = b"".join(filled[at : at + 3] for at in offsets)
        assert rbd_image.read_blocks(offsets, 3) == expected


def test_numpy_arrays_are_offsets_and_buffers(rbd_image: rbd.Image, filled: bytes) -> None:
    numpy = pytest.importorskip("numpy")
    for dtype in ("int64", "uint64", "int32", "uint16", ">i8", "<u4"):
        offsets = numpy.arange(8, dtype=dtype) * 1024
        out = numpy.empty((8, 1024), dtype=numpy.uint8)
        assert rbd_image.read_blocks(offsets, 1024, out) is out
        assert out.tobytes() == filled[:8192]
    matrix = numpy.arange(4096, dtype=numpy.float64).reshape(4, 1024)
    assert rbd_image.write_blocks(matrix, numpy.array([3, 1, 2, 0]) * 65536) == 32768
    assert rbd_image.read(65536, 8192) == matrix[1].tobytes()
    with pytest.raises(ValueError, match="dimension"):
        rbd_image.read_blocks(numpy.zeros((2, 2), dtype=int), 16)
    with pytest.raises(TypeError):
        rbd_image.read_blocks(numpy.zeros(2), 16)
    with pytest.raises(BufferError):
        rbd_image.read_blocks([0, 16], 16, out=numpy.empty((2, 32), dtype=numpy.uint8)[:, ::2])


@pytest.mark.parametrize("make", [bytearray, lambda size: mmap.mmap(-1, size)])
def test_out_is_filled_and_returned(
    rbd_image: rbd.Image, filled: bytes, make: Callable[[int], Any]
) -> None:
    out = make(2 * BLOCK)
    assert rbd_image.read_blocks(offsets=[BLOCK, 0], block_size=BLOCK, out=out) is out
    assert out[:] == filled[BLOCK : 2 * BLOCK] + filled[:BLOCK]


def test_empty_batches_do_nothing(rbd_image: rbd.Image) -> None:
    assert rbd_image.read_blocks([], BLOCK) == bytearray()
    assert rbd_image.write_blocks(b"", []) == 0
    assert rbd_image.readv([], 0) == rbd_image.writev([], 0) == 0
    assert rbd_image.readv([bytearray()], 0) == rbd_image.writev([b"", b""], 0) == 0


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda image: image.write_blocks(b"x" * 100, [0, 100, 200]), ValueError),
        (lambda image: image.write_blocks(b"x", []), ValueError),
        (lambda image: image.write_blocks(b"", [0]), ValueError),
        (lambda image: image.write_blocks("xx", [0, 1]), TypeError),
        (lambda image: image.write_blocks(b"xx", [0, -1]), OverflowError),
        (lambda image: image.write_blocks(b"xx", [0, 1 << 64]), OverflowError),
        (lambda image: image.write_blocks(b"xx", array.array("q", [0, -1])), OverflowError),
        (lambda image: image.write_blocks(b"xx", array.array("d", [0, 1])), TypeError),
        (lambda image: image.write_blocks(b"xx", [0, 1.0]), TypeError),
        (lambda image: image.write_blocks(b"xx", [0, None]), TypeError),
        (lambda image: image.write_blocks(b"xx", 5), TypeError),
        (lambda image: image.write_blocks(b"xx", [0, 1], queue_depth=0), ValueError),
        (lambda image: image.write_blocks(b"xx", [0, 1], queue_depth=-1), OverflowError),
        (lambda image: image.write_blocks(b"xx", [0, 1], queue_depth=1 << 40), ValueError),
        (lambda image: image.write_blocks(b"xx", [0, 1], 64), TypeError),
        (lambda image: image.write_blocks(memoryview(b"xxxx")[::2], [0, 1]), BufferError),
        (lambda image: image.read_blocks([0], 0), ValueError),
        (lambda image: image.read_blocks([0], -1), OverflowError),
        (lambda image: image.read_blocks([0, 1], 1 << 63), MemoryError),
        (lambda image: image.read_blocks([0], 16, out=bytes(16)), TypeError),
        (lambda image: image.read_blocks([0], 16, out=bytearray(15)), ValueError),
        (lambda image: image.read_blocks([0], 16, out=bytearray(17)), ValueError),
        (lambda image: image.writev([b"x", "x"], 0), TypeError),
        (lambda image: image.writev([b"x"], -1), OverflowError),
        (lambda image: image.writev(5, 0), TypeError),
        (lambda image: image.readv([bytearray(1), b"x"], 0), TypeError),
    ],
)
def test_arguments_are_checked_before_any_io(
    rbd_image: rbd.Image, call: Callable[[rbd.Image], Any], error: type
) -> None:
    with pytest.raises(error):
        call(rbd_image)
    assert rbd_image.read(0, 4096) == bytes(4096)


def test_the_failed_block_with_the_lowest_index_is_named(rbd_image: rbd.Image) -> None:
    offsets = [0, 3 * BLOCK, SIZE + BLOCK, BLOCK, SIZE, 2 * BLOCK]
    with pytest.raises(rbd.InvalidArgument) as caught:
        rbd_image.read_blocks(offsets, BLOCK)
    assert (caught.value.errno, caught.value.index, caught.value.offset) == (22, 2, SIZE + BLOCK)
    assert rbd_image.get_name() in str(caught.value)
    with pytest.raises(rbd.InvalidArgument) as caught:
        rbd_image.write_blocks(b"".join(bytes([i]) * BLOCK for i in range(1, 7)), offsets)
    assert (caught.value.errno, caught.value.index, caught.value.offset) == (22, 2, SIZE + BLOCK)
    # All other blocks have been written.
    expected = b"".join(bytes([i]) * BLOCK for i in (1, 4, 6, 2))
    assert rbd_image.read(0, 4 * BLOCK) == expected


def test_a_block_across_the_end_is_an_error(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.InvalidArgument) as caught:
        rbd_image.read_blocks([0, SIZE - 100], BLOCK)
    assert (caught.value.index, caught.value.offset) == (1, SIZE - 100)
    with pytest.raises(rbd.IncompleteWriteError) as incomplete:
        rbd_image.write_blocks(b"x" * 2 * BLOCK, [SIZE - 100, 0])
    error = incomplete.value
    assert (error.errno, error.index, error.offset) == (None, 0, SIZE - 100)
    assert "wrote only 100 out of 4096 bytes" in str(error)
    assert rbd_image.read(SIZE - 100, 100) == b"x" * 100
    assert rbd_image.read(0, BLOCK) == b"x" * BLOCK


def as_single_calls(image: rbd.Image, offsets: List[int], block: int) -> Tuple[bytes, Failure]:
    """Return what read_blocks() has to read, and the error it has to raise."""
    found, failure = [], None
    for index, offset in enumerate(offsets):
        try:
            data = image.read(offset, block)
        except rbd.InvalidArgument:
            data = b""
        if len(data) < block:
            data = bytes(block)
            failure = failure or (rbd.InvalidArgument, index, offset)
        found.append(data)
    return b"".join(found), failure


@given(
    runs=st.lists(
        st.tuples(st.integers(0, SIZE + 70_000), st.integers(1, 20)), min_size=1, max_size=5
    ),
    block=st.sampled_from([1, 511, 512, 4096, 20_000, 65_536, 70_000]),
    at_end=st.booleans(),
    queue_depth=st.sampled_from([1, 3, 64]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_neighbours_are_moved_as_single_blocks_are(
    rbd_image: rbd.Image,
    filled: bytes,
    runs: List[Tuple[int, int]],
    block: int,
    at_end: bool,
    queue_depth: int,
) -> None:
    offsets = [start + block * number for start, count in runs for number in range(count)]
    if at_end:
        # The first block ends with the image, and the second one begins there.
        offsets[:2] = [SIZE - block, SIZE]
    expected, failure = as_single_calls(rbd_image, offsets, block)
    out = bytearray(len(expected))
    assert outcome(lambda: rbd_image.read_blocks(offsets, block, out, queue_depth=queue_depth)) == (
        failure
    )
    inside = [number for number, offset in enumerate(offsets) if offset + block <= SIZE]
    for number in inside:
        assert out[number * block :][:block] == expected[number * block :][:block]
    # The same data again, so that the image stays as it is, whatever overlaps.
    wanted = failure
    if failure is not None and failure[2] < SIZE:
        wanted = (rbd.IncompleteWriteError, *failure[1:])
    data = b"".join(filled[at : at + block].ljust(block, b"!") for at in offsets)
    assert outcome(lambda: rbd_image.write_blocks(data, offsets, queue_depth=queue_depth)) == wanted
    assert rbd_image.read(0, SIZE) == filled


def test_a_read_only_image_refuses_write_batches(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    with rbd.Image(rbd_ioctx, rbd_image.get_name(), read_only=True) as image:
        with pytest.raises(rbd.ReadOnlyImage) as caught:
            image.write_blocks(b"xx", [0, 1])
        assert caught.value.index == 0
        with pytest.raises(rbd.ReadOnlyImage):
            image.writev([b"xx"], 0)


def test_a_closed_image_refuses_batches(rbd_image: rbd.Image) -> None:
    rbd_image.close()
    for call in (
        lambda: rbd_image.read_blocks([], 1),
        lambda: rbd_image.write_blocks(b"", []),
        lambda: rbd_image.readv([], 0),
        lambda: rbd_image.writev([], 0),
    ):
        with pytest.raises(rbd.InvalidArgument) as caught:
            call()
        assert caught.value.errno is None


def test_vectors_are_written_and_read_in_order(rbd_image: rbd.Image) -> None:
    parts = [os.urandom(n) for n in (1, 0, 4095, 70000, 3)]
    whole = b"".join(parts)
    assert rbd_image.writev([parts[0], memoryview(parts[1]), *parts[2:]], 500) == len(whole)
    assert rbd_image.read(500, len(whole)) == whole
    into = [bytearray(n) for n in (10, 5000, 0, 69089)]
    assert rbd_image.readv(buffers=into, offset=500) == len(whole)
    assert b"".join(into) == whole


def test_more_vectors_than_one_call_takes_are_split(rbd_image: rbd.Image) -> None:
    parts = [bytes([i % 251]) * 3 for i in range(5000)]
    assert rbd_image.writev(parts, 100) == 15000
    into = [bytearray(7) for _ in range(2143)]
    assert rbd_image.readv(into, 100) == 15001
    assert b"".join(into) == b"".join(parts) + b"\0"


def test_vectors_at_the_end_are_short_or_incomplete(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"x" * 100, SIZE - 100)
    into = [bytearray(60), bytearray(60)]
    assert rbd_image.readv(into, SIZE - 100) == 100
    assert b"".join(into) == b"x" * 100 + bytes(20)
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.readv([bytearray(1)], SIZE + 1)
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.writev([b"x"], SIZE + 1)
    with pytest.raises(rbd.IncompleteWriteError) as caught:
        rbd_image.writev([b"y" * 60, b"z" * 60], SIZE - 100)
    assert caught.value.errno is None
    assert "wrote only 100 out of 120 bytes" in str(caught.value)
    assert rbd_image.read(SIZE - 100, 100) == b"y" * 60 + b"z" * 40


def test_several_threads_run_batches(rbd_image: rbd.Image, filled: bytes) -> None:
    failures: List[BaseException] = []

    def read() -> None:
        try:
            for _ in range(3):
                offsets = shuffled(200)
                expected = b"".join(filled[at : at + BLOCK] for at in offsets)
                assert rbd_image.read_blocks(offsets, BLOCK, queue_depth=16) == expected
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_other_threads_run_during_a_batch(rbd_image: rbd.Image) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    thread.start()
    rbd_image.write_blocks(b"x" * (512 * BLOCK), shuffled(512))
    done.set()
    thread.join()
    assert ticks > 0


def interrupt(where: Where) -> None:
    _cluster, _ioctx, image = open_all(where)
    offsets = [0] * 50_000_000
    out = bytearray(len(offsets))
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    error = raised_by(lambda: image.read_blocks(offsets, 1, out))
    assert isinstance(error, KeyboardInterrupt), repr(error)
    out.append(1)  # the memory is not held any more
    assert image.read_blocks([0], 1) == b"A"
    image.close()


def test_control_c_stops_a_batch(where: Where) -> None:
    isolated.run(interrupt, where)


# The C functions behind the calls, and the calls that are made if they are missing.
FUNCTIONS = ("rbd_aio_read", "rbd_aio_write", "rbd_aio_readv", "rbd_aio_writev")


def without_functions(where: Where) -> None:
    _cluster, _ioctx, image = open_all(where)
    whole = (
        lambda: image.read_blocks([0], BLOCK),
        lambda: image.write_blocks(b"x" * BLOCK, [0]),
        lambda: image.readv([bytearray(BLOCK)], 0),
        lambda: image.writev([b"x" * BLOCK], 0),
    )
    empty = (
        lambda: image.read_blocks([], BLOCK),
        lambda: image.write_blocks(b"", []),
        lambda: image.readv([], 0),
        lambda: image.writev([], 0),
    )
    for calls in (whole, empty):
        for call, name in zip(calls, FUNCTIONS):
            error = raised_by(call)
            assert isinstance(error, rbd.FunctionNotSupported), repr(error)
            assert name in str(error), error

    async def vectored() -> None:
        for buffers in ([bytearray(BLOCK)], []):
            with pytest.raises(rbd.FunctionNotSupported, match="rbd_aio_readv"):
                await asynchronous.readv(buffers, 0)
            with pytest.raises(rbd.FunctionNotSupported, match="rbd_aio_writev"):
                await asynchronous.writev(buffers, 0)

    asynchronous = rbd.aio.AsyncImage(image)
    asyncio.run(vectored())
    image.close()


def test_a_missing_function_is_named_even_for_an_empty_batch(
    shimmed: Callable[..., Any],
) -> None:
    shimmed(without_functions, missing=",".join(FUNCTIONS))
