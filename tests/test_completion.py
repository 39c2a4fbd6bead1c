"""Asynchronous calls with callbacks, as the stock module has them."""

from __future__ import annotations

import errno
import os
import select
import threading
from typing import Any, Callable, List, Optional, Tuple

import pytest

import rbd
from support.checksums import crc32c

SIZE = 8 << 20


def run(start: Callable[[Callable[..., None]], rbd.Completion]) -> Tuple[int, Tuple[Any, ...]]:
    """Return the return value of a call, and its callback's arguments after the completion."""
    got: List[Tuple[Any, ...]] = []
    completion = start(lambda *arguments: got.append(arguments))
    assert completion.wait_for_complete_and_cb() is None
    assert completion.is_complete() is True
    assert len(got) == 1
    assert got[0][0] is completion
    return completion.get_return_value(), got[0][1:]


def test_written_data_is_read_back(rbd_image: rbd.Image) -> None:
    data = os.urandom(5000)
    assert run(lambda cb: rbd_image.aio_write(data, 100, cb)) == (0, ())
    assert run(lambda cb: rbd_image.aio_read(100, 5000, cb)) == (5000, (data,))
    assert rbd_image.read(100, 5000) == data


def test_arguments_may_be_keywords(rbd_image: rbd.Image) -> None:
    flags = 4  # LIBRADOS_OP_FLAG_FADVISE_RANDOM
    run(lambda cb: rbd_image.aio_write(data=b"abc", offset=7, oncomplete=cb, fadvise_flags=flags))
    answer = run(
        lambda cb: rbd_image.aio_read(offset=7, length=3, oncomplete=cb, fadvise_flags=flags)
    )
    assert answer == (3, (b"abc",))


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_written(rbd_image: rbd.Image, make: Callable[[bytes], Any]) -> None:
    run(lambda cb: rbd_image.aio_write(make(b"some bytes"), 0, cb))
    assert rbd_image.read(0, 10) == b"some bytes"


def test_a_written_buffer_is_held_until_the_write_completes(rbd_image: rbd.Image) -> None:
    data = bytearray(b"x" * (1 << 20))
    for _ in range(100):
        completion = rbd_image.aio_write(data, 0, None)
        try:
            data.append(1)
        except BufferError:
            break
        # The write completed before this check.
        completion.wait_for_complete_and_cb()
        del data[-1]
    else:
        pytest.fail("no write of a hundred held its buffer")
    completion.wait_for_complete_and_cb()
    data.append(1)
    assert rbd_image.read(0, 1 << 20) == b"x" * (1 << 20)


def test_calls_at_the_end_of_the_image_are_short_or_refused(rbd_image: rbd.Image) -> None:
    assert run(lambda cb: rbd_image.aio_read(SIZE - 50, 100, cb)) == (50, (bytes(50),))
    assert run(lambda cb: rbd_image.aio_read(SIZE + 10, 100, cb)) == (-22, (None,))
    assert run(lambda cb: rbd_image.aio_write(b"x" * 100, SIZE + 10, cb)) == (-22, ())
    assert run(lambda cb: rbd_image.aio_read(0, 0, cb)) == (0, (b"",))
    # Longer than any memory, so it must be clipped to the image first.
    assert run(lambda cb: rbd_image.aio_read(SIZE - 5, 1 << 62, cb)) == (5, (bytes(5),))


def test_discard_reads_as_zeroes_and_flush_completes(rbd_image: rbd.Image) -> None:
    # librbd discards whole units of 64 KiB, or whole objects.
    rbd_image.write(b"x" * (2 << 20), 0)
    assert run(lambda cb: rbd_image.aio_discard(0, 1 << 20, cb)) == (0, ())
    assert rbd_image.read((1 << 20) - 1, 2) == b"\0x"
    assert run(lambda cb: rbd_image.aio_flush(cb)) == (0, ())


@pytest.mark.needs("rbd_aio_write_zeroes")
def test_written_zeroes_are_read_back(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"x" * 8192, 0)
    assert run(lambda cb: rbd_image.aio_write_zeroes(4096, 4096, cb)) == (0, ())
    assert rbd_image.read(4000, 200) == b"x" * 96 + bytes(104)


@pytest.mark.parametrize("wait", [True, False])
def test_zero_flags_are_honoured_or_refused_by_name(rbd_image: rbd.Image, wait: bool) -> None:
    rbd_image.write(b"x" * 8192, 0)
    flags = rbd.RBD_WRITE_ZEROES_FLAG_THICK_PROVISION

    def write_zeroes() -> None:
        if wait:
            rbd_image.write_zeroes(offset=0, length=100, zero_flags=flags)
        else:
            answer = run(
                lambda cb: rbd_image.aio_write_zeroes(
                    offset=0, length=100, oncomplete=cb, zero_flags=flags
                )
            )
            assert answer == (0, ())

    if rbd.supports("rbd_snap_create2"):
        write_zeroes()
        assert rbd_image.read(0, 8192) == bytes(100) + b"x" * 8092
    else:
        # Ceph 14 has the call without the flags, and ends the process if they are used.
        with pytest.raises(rbd.FunctionNotSupported, match="zero_flags"):
            write_zeroes()
        assert rbd_image.read(0, 100) == b"x" * 100


def test_a_callback_is_optional(rbd_image: rbd.Image) -> None:
    rbd_image.aio_write(b"abc", 0, None).wait_for_complete_and_cb()
    completion = rbd_image.aio_read(0, 3, None)
    completion.wait_for_complete_and_cb()
    assert completion.get_return_value() == 3


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda image: image.aio_read(-1, 1, print), OverflowError),
        (lambda image: image.aio_read(0, -1, print), OverflowError),
        (lambda image: image.aio_read(1 << 64, 1, print), OverflowError),
        (lambda image: image.aio_write(b"", -1, print), OverflowError),
        (lambda image: image.aio_write("text", 0, print), TypeError),
        (lambda image: image.aio_write(memoryview(b"abcd")[::2], 0, print), BufferError),
        (lambda image: image.aio_read("0", 1, print), TypeError),
        (lambda image: image.aio_read(0, 1, 5), TypeError),
        (lambda image: image.aio_flush(5), TypeError),
        (lambda image: image.aio_read(0, 1), TypeError),
        (lambda image: rbd.RBD().aio_open_image(print, 5, "name"), TypeError),
    ],
)
def test_bad_arguments_are_refused(
    rbd_image: rbd.Image, call: Callable[[rbd.Image], Any], error: type
) -> None:
    with pytest.raises(error):
        call(rbd_image)


def test_an_exception_of_the_callback_is_raised_by_each_wait(rbd_image: rbd.Image) -> None:
    def fail(completion: rbd.Completion, data: Optional[bytes]) -> None:
        raise ValueError("of the callback")

    completion = rbd_image.aio_read(0, 10, fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="of the callback"):
            completion.wait_for_complete_and_cb()
    assert completion.get_return_value() == 10


def test_a_closed_image_refuses_every_call(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.close()
    for call in (
        lambda: rbd_image.aio_read(0, 1, print),
        lambda: rbd_image.aio_write(b"", 0, print),
        lambda: rbd_image.aio_discard(0, 1, print),
        lambda: rbd_image.aio_flush(print),
        lambda: rbd_image.aio_close(print),
        lambda: rbd_image.aio_mirror_image_get_info(print),
    ):
        with pytest.raises(rbd.InvalidArgument) as caught:
            call()
        assert caught.value.errno is None


def test_aio_close_completes_calls_in_flight(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "closing", SIZE)
    image = rbd.Image(rbd_ioctx, "closing")
    written: List[int] = []
    writes = [image.aio_write(b"x", i, lambda _: written.append(1)) for i in range(10)]
    assert run(image.aio_close) == (0, ())
    assert len(writes) == len(written) == 10
    for call in (image.size, lambda: image.aio_close(print)):
        with pytest.raises(rbd.InvalidArgument):
            call()
    image.close()
    rbd.RBD().remove(rbd_ioctx, "closing")


def test_aio_close_completes_for_a_dropped_image(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "closing", SIZE)
    rbd.Image(rbd_ioctx, "closing").aio_close(None).wait_for_complete_and_cb()
    rbd.RBD().remove(rbd_ioctx, "closing")


def open_later(ioctx: rbd.rados.Ioctx, *arguments: Any, **keywords: Any) -> Tuple[int, rbd.Image]:
    got: List[rbd.Image] = []
    completion = rbd.RBD().aio_open_image(
        lambda _, image: got.append(image), ioctx, *arguments, **keywords
    )
    completion.wait_for_complete_and_cb()
    return completion.get_return_value(), got[0]


def test_aio_open_image_takes_names_snapshots_and_ids(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.write(b"abc", 0)
    rbd_image.create_snap("s")
    rbd_image.write(b"xyz", 0)
    name, image_id = rbd_image.get_name(), rbd_image.id()
    for arguments, keywords, content, writable in (
        ((name,), {}, b"xyz", True),
        ((name, "s"), {}, b"abc", False),
        ((), {"name": name, "snapshot": "s", "read_only": True}, b"abc", False),
        ((name, None, True), {}, b"xyz", False),
        ((), {"image_id": image_id}, b"xyz", True),
        ((), {"image_id": image_id, "read_only": True}, b"xyz", False),
    ):
        result, image = open_later(rbd_ioctx, *arguments, **keywords)
        assert result == 0
        with image:
            assert isinstance(image, rbd.Image)
            assert not image.closed
            assert image.read(0, 3) == content
            if not writable:
                with pytest.raises(rbd.ReadOnlyImage):
                    image.write(b"q", 10)
    rbd_image.remove_snap("s")


def test_aio_open_image_of_a_missing_image_fails(rbd_ioctx: rbd.rados.Ioctx) -> None:
    result, image = open_later(rbd_ioctx, "no such image")
    assert result == -2
    assert image.closed
    assert "no such image" in repr(image)
    for call in (image.size, lambda: image.aio_read(0, 1, print), image.require_not_closed):
        with pytest.raises(rbd.InvalidArgument) as caught:
            call()
        assert caught.value.errno is None
    image.close()


def test_aio_open_image_needs_one_name(rbd_ioctx: rbd.rados.Ioctx) -> None:
    for keywords in ({}, {"name": "a", "image_id": "b"}):
        with pytest.raises(rbd.InvalidArgument):
            rbd.RBD().aio_open_image(print, rbd_ioctx, **keywords)


def test_the_constructor_may_open_with_a_callback(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    class Derived(rbd.Image):
        pass

    opened = threading.Event()
    got: List[Any] = []

    def note(completion: rbd.Completion, image: rbd.Image) -> None:
        got.extend((completion.get_return_value(), image, image.size()))
        opened.set()

    image = Derived(rbd_ioctx, rbd_image.get_name(), _oncomplete=note)
    assert opened.wait(60)
    assert got == [0, image, SIZE]
    image.close()


def test_the_mirror_info_call_completes(rbd_image: rbd.Image) -> None:
    result, (info,) = run(rbd_image.aio_mirror_image_get_info)
    assert result == 0
    assert info == {
        "global_id": "",
        "state": rbd.RBD_MIRROR_IMAGE_DISABLED,
        "primary": False,
    }


@pytest.mark.needs("rbd_aio_compare_and_writev")
def test_compare_and_writev_writes_only_equal_data(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"A" * 1024, 4096)
    pieces = [b"A" * 1000, bytearray(b"A" * 24)]

    def write(compare: Any, data: Any) -> Tuple[int, Tuple[Any, ...]]:
        return run(lambda cb: rbd_image.aio_compare_and_writev(compare, data, 4096, cb))

    assert write(pieces, [b"B" * 1024]) == (0, (None,))
    assert rbd_image.read(4096, 1024) == b"B" * 1024
    result, (offset,) = write([b"B" * 10 + b"C", b"B" * 1013], [b"D" * 1024])
    assert result == -errno.EILSEQ
    assert offset == 4096 + 10
    assert rbd_image.read(4096, 1024) == b"B" * 1024
    with pytest.raises(ValueError, match="same size"):
        rbd_image.aio_compare_and_writev([b"A"], [b"AB"], 0, print)


@pytest.mark.needs("rbd_aio_write_with_crc32c")
def test_a_write_with_crc32c_checks_its_checksum(rbd_image: rbd.Image) -> None:
    data = bytes(4096)
    # The checksum of zeroes, begun with all bits set: the value of RFC 3720, but not inverted.
    crc = crc32c(data)
    assert run(lambda cb: rbd_image.aio_write_with_crc32c(data, 0, crc, cb)) == (0, ())
    assert rbd_image.read(0, 4096) == data
    for wrong in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            rbd_image.aio_write_with_crc32c(data, 0, wrong, print)


def test_notifications_count_every_asynchronous_call(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    """librbd signals a descriptor for every asynchronous call, and reports how many there were."""
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.set_image_notification(0, 99)
    reader, writer = os.pipe()
    try:
        rbd_image.set_image_notification(writer, rbd.EVENT_TYPE_PIPE)
        offsets = range(0, 1 << 20, 1 << 16)
        made = [rbd_image.aio_write(b"x" * 512, offset, None) for offset in offsets]
        made.append(rbd_image.aio_flush(None))
        for completion in made:
            completion.wait_for_complete_and_cb()
        assert run(lambda cb: rbd_image.aio_read(0, 512, cb)) == (512, (b"x" * 512,))
        # Every kind of call counts, also those that wait by themselves.
        rbd_image.read_blocks([0, 4096], 512)
        expected = len(made) + 3
        assert select.select([reader], [], [], 30)[0] == [reader]
        told = 0
        while told < expected:
            told += rbd_image.poll_io_events(4)
        assert told == expected
        assert rbd_image.poll_io_events() == 0
        with pytest.raises(ValueError, match="limit must be at least 1"):
            rbd_image.poll_io_events(0)
        # Calls without a notification do no harm.
        rbd_image.aio_flush(None)
        rbd_image.close()
    finally:
        os.close(reader)
        os.close(writer)
    for call in (rbd_image.poll_io_events, lambda: rbd_image.set_image_notification(0)):
        with pytest.raises(rbd.InvalidArgument) as caught:
            call()
        assert caught.value.errno is None


@pytest.mark.needs("rbd_aio_mirror_image_get_mode", "rbd_aio_mirror_image_create_snapshot")
def test_mirror_snapshot_calls_complete(rbd_image: rbd.Image) -> None:
    # For an image that is not mirrored, Ceph 20 reports no mode; older releases report the first.
    told = (-22, (None,)) if rbd.supports("rbd_clone4") else (0, (0,))
    assert run(rbd_image.aio_mirror_image_get_mode) == told
    # The image is not mirrored by snapshots.
    assert run(lambda cb: rbd_image.aio_mirror_image_create_snapshot(0, cb)) == (-22, (None,))
    answer = run(lambda cb: rbd_image.aio_mirror_image_create_snapshot(flags=0, oncomplete=cb))
    assert answer == (-22, (None,))
