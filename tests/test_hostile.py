"""Hostile arguments to every public method: each raises a Python exception, and nothing worse.

Everything runs in a separate process, so that a crash or a hang is a failed test.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import inspect
import random
import secrets
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

import rbd
from rbd.testing import Cluster
from support import (
    edge_arguments,
    fakerbd,
    figures,
    hostile_arguments,
    isolated,
    memory_usage,
    rados_rows,
)
from support.image_kinds import KINDS
from support.location import LIMIT, SOAK, Where, in_thread, open_all

EXAMPLES = 60 if SOAK else 1


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.parametrize("part", ["images", "rados"])
def test_hostile_arguments_raise_python_exceptions(tmp_path: Path, part: str) -> None:
    note = tmp_path / "note"
    seed = secrets.randbits(32)
    limit = LIMIT if SOAK else 110
    process = isolated.start(
        hostile_arguments.drive,
        str(note),
        seed,
        EXAMPLES,
        part,
        timeout=limit,
        watched=False,
        development=False,
    )
    outcome = isolated.finish(process, limit)
    last = note.read_bytes().decode(errors="replace").rstrip() if note.exists() else "nothing"
    assert outcome.status == 0, f"seed {seed}, last call: {last}\n{outcome}"
    answer = outcome.answer
    assert answer["wrong"] == {}, f"seed {seed}"
    assert answer["methods"] > 150
    assert answer["calls"] > answer["methods"]
    assert answer["raised"] > answer["calls"] // 4
    assert answer["peak_kib"] < hostile_arguments.MEMORY * memory_usage.LEEWAY, f"seed {seed}"
    figures.note("hostile calls", answer["calls"])
    figures.note("exceptions from them", answer["raised"])
    figures.note("methods and classes", answer["methods"])
    figures.note("most memory that took, MiB", answer["peak_kib"] >> 10)


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.parametrize("number", range(len(KINDS) if SOAK else 3))
def test_extreme_arguments_are_refused_on_each_kind_of_image(
    rbd_cluster: Cluster, second_pool: str, tmp_path: Path, number: int
) -> None:
    """Sizes and lengths of 0, huge ones, and values that are not numbers."""
    kind = sorted(KINDS)[number] if SOAK else random.choice(sorted(KINDS))
    missing = [name for name in KINDS[kind].needs if not rbd.supports(name)]
    if missing:
        pytest.skip(f"{kind}: the loaded librbd has no {missing[0]}")
    seed = secrets.randbits(32)
    note = tmp_path / "note"
    pool = f"extremes-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(pool)
        with cluster.open_ioctx(pool) as ioctx:
            rbd.RBD().pool_init(ioctx, True)
        where = (str(rbd_cluster.conffile), pool, second_pool, str(tmp_path))
        process = isolated.start(
            edge_arguments.drive,
            str(note),
            kind,
            seed,
            1 if SOAK else 0.02,
            *where,
            timeout=LIMIT,
            watched=False,
            development=False,
        )
        outcome = isolated.finish(process, LIMIT)
        cluster.delete_pool(pool)
    last = note.read_bytes().decode(errors="replace").rstrip() if note.exists() else "nothing"
    assert outcome.status == 0, f"{kind}, seed {seed}, last call: {last}\n{outcome}"
    assert outcome.answer["wrong"] == {}, f"{kind}, seed {seed}"
    assert outcome.answer["raised"] > outcome.answer["calls"] // 4
    figures.note("extreme calls", outcome.answer["calls"])


def test_every_rados_class_is_attacked() -> None:
    names = {name for name, _ in rados_rows.classes()}
    assert {*hostile_arguments.RADOS_SUBJECTS} == names


def test_the_driver_finds_faults() -> None:
    assert hostile_arguments.unfit(SystemError("error return without exception set"))
    assert hostile_arguments.unfit(RuntimeError("Caught an unknown exception!"))
    assert hostile_arguments.unfit(KeyboardInterrupt())
    assert hostile_arguments.unfit(rbd.Error("at io.cpp:12"))
    assert not hostile_arguments.unfit(rbd.ImageNotFound("x", errno=2))


# One by one: faults in the middle of a call


def _closing(image: Any, answer: int) -> Any:
    return hostile_arguments.Answers(image.close, answer)


def reenter(where: Where) -> None:
    """Each argument closes the image of the call."""
    calls: Dict[str, Callable[[Any, Any], Any]] = {
        "read": lambda image, evil: image.read(evil, 512),
        "read length": lambda image, evil: image.read(0, evil),
        "readinto": lambda image, evil: image.readinto(bytearray(512), evil),
        "write": lambda image, evil: image.write(b"x" * 512, evil),
        "discard": lambda image, evil: image.discard(evil, 512),
        "resize": lambda image, evil: image.resize(evil),
        "aio_read": lambda image, evil: image.aio_read(evil, 512, print),
        "aio_write": lambda image, evil: image.aio_write(b"x", evil, print),
        "read_blocks": lambda image, evil: image.read_blocks([evil], 512),
        "write_blocks": lambda image, evil: image.write_blocks(b"x" * 512, [evil]),
        "readv": lambda image, evil: image.readv([bytearray(512)], evil),
        "diff": lambda image, evil: image.diff(evil),
        "diff_iterate": lambda image, evil: image.diff_iterate(evil, 512, None, print),
    }
    for what, call in calls.items():
        _, _, image = open_all(where)
        with pytest.raises(rbd.InvalidArgument) as caught:
            call(image, _closing(image, 512))
        assert caught.value.errno is None, what
        assert image.closed, what


def test_an_argument_may_close_the_image(where: Where) -> None:
    isolated.run(reenter, where)


def raising(where: Where) -> None:
    """An exception of an argument leaves the call unchanged."""
    _, _, image = open_all(where)
    evil = hostile_arguments.Answers(hostile_arguments._raise, 0)
    for call in (
        lambda: image.read(evil, 1),
        lambda: image.write(b"x", evil),
        lambda: image.read_blocks([0, evil], 512),
        lambda: image.write_blocks(b"x" * 1024, [0, evil]),
        lambda: image.resize(evil),
        lambda: image.create_snap("s", evil),
        lambda: image.readv(evil, 0),
        lambda: image.diff_iterate(0, 4096, None, lambda *_: hostile_arguments._raise()),
    ):
        with pytest.raises(hostile_arguments.Hostile):
            call()
    image.close()


def test_an_exception_of_an_argument_is_raised(where: Where) -> None:
    isolated.run(raising, where)


BAD_BUFFERS = [
    memoryview(b"0123456789")[::2],
    memoryview(bytearray(512))[::-1],
    "text",
    None,
    7,
    [1, 2],
]


@pytest.mark.parametrize("data", BAD_BUFFERS, ids=lambda value: type(value).__name__)
def test_unusable_buffers_are_refused(rbd_image: rbd.Image, data: Any) -> None:
    for call in (
        lambda: rbd_image.write(data, 0),
        lambda: rbd_image.readinto(data, 0),
        lambda: rbd_image.aio_write(data, 0, lambda *_: None),
        lambda: rbd_image.writev([data], 0),
        lambda: rbd_image.readv([data], 0),
        lambda: rbd_image.write_blocks(data, [0]),
        lambda: rbd_image.compare_and_write(data, data, 0),
        lambda: rbd_image.write_same(data, 0, 512),
    ):
        with pytest.raises((TypeError, ValueError, BufferError)):
            call()


def test_read_only_memory_is_not_written_to(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"new", 0)
    constant = b"old" + b"." * 509
    for target in (constant, memoryview(constant), memoryview(bytearray(4)).toreadonly()):
        with pytest.raises((TypeError, ValueError, BufferError)):
            rbd_image.readinto(target, 0)
        with pytest.raises((TypeError, ValueError, BufferError)):
            rbd_image.readv([target], 0)
        with pytest.raises((TypeError, ValueError, BufferError)):
            rbd_image.read_blocks([0], len(target), out=target)
    assert constant[:3] == b"old"


def refused(act: Callable[[], Any]) -> int:
    """Return how often it is refused, in this thread and in another."""
    count = 0

    def attempt() -> None:
        nonlocal count
        try:
            act()
        except BufferError:
            count += 1

    in_thread(attempt)
    attempt()
    return count


def held(where: Where) -> int:
    """A buffer in flight cannot be resized or released. Return how often that was refused."""
    shim = fakerbd.Shim()
    _, _, image = open_all(where)
    image.flush()
    count = 0
    for size in (512, 1 << 20):
        data = bytearray(size)
        view = memoryview(data)
        shim.late(400)
        completions = [
            image.aio_write(data, 0, lambda *_: None),
            image.aio_write(view, 1 << 20, lambda *_: None),
        ]
        for act in (data.clear, view.release, data.pop, data.__iadd__):
            arguments = (b"x",) if act == data.__iadd__ else ()
            count += refused(functools.partial(act, *arguments))
        for completion in completions:
            completion.wait_for_complete_and_cb()
        shim.late(0)
        del completions, completion
        gc.collect()
        view.release()
        data.append(1)
    image.close()
    return count


@fakerbd.needs_compiler
def test_a_buffer_in_flight_is_held(shimmed: Callable[..., Any]) -> None:
    assert shimmed(held) == 2 * 4 * 2


def dropped(where: Where) -> None:
    """The memory of a write lives as long as the write, without any other owner."""
    shim = fakerbd.Shim()
    _, _, image = open_all(where)
    shim.late(200)
    completions = [
        image.aio_write(bytes([number]) * 4096, number * 4096, lambda *_: None)
        for number in range(100)
    ]
    gc.collect()
    rubbish = [bytearray(4096) for _ in range(1000)]
    for completion in completions:
        completion.wait_for_complete_and_cb()
        assert completion.get_return_value() == 0
    shim.late(0)
    del rubbish
    for number in range(100):
        assert image.read(number * 4096, 4096) == bytes([number]) * 4096
    image.close()


@fakerbd.needs_compiler
def test_a_write_keeps_its_memory_alive(shimmed: Callable[..., Any]) -> None:
    shimmed(dropped)


def use_without_init() -> Dict[str, int]:
    refused = {}
    for namespace in (vars(rbd._core), vars(rbd._core.rados)):
        for cls in [value for value in namespace.values() if type(value) is type(rbd.Image)]:
            qualified = f"{cls.__module__}.{cls.__name__}"
            refused[qualified] = 0
            for name in [name for name in dir(cls) if not hasattr(object, name)]:
                try:
                    member = getattr(cls.__new__(cls), name)
                    parameters = inspect.signature(member).parameters.values()
                    needed = [one for one in parameters if one.default is one.empty]
                    member(*("1" for one in needed if one.kind is not one.KEYWORD_ONLY))
                except (TypeError, ValueError, AttributeError) as error:
                    refused[qualified] += "__init__() " in str(error)
    return refused


def test_an_object_without_its_init_is_refused() -> None:
    refused = isolated.run(use_without_init)
    assert all(count for name, count in refused.items() if "._" not in name.replace("._core", ""))
    assert sum(refused.values()) > 300
    figures.note("calls without __init__", sum(refused.values()))


def test_objects_that_are_not_contexts_are_refused(rbd_image: rbd.Image) -> None:
    class Fake:
        io: Any = None

    for pointer in (None, 0, "x", object(), ctypes.c_void_p(None), ctypes.c_int(3)):
        fake = Fake()
        fake.io = pointer
        with pytest.raises((TypeError, rbd.Error)):
            rbd.Image(fake, "name")
        with pytest.raises((TypeError, rbd.Error)):
            rbd.RBD().list(fake)
