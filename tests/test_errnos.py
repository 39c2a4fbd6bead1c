"""Every method is driven through every errno at each of its calls of librbd.

The shim of fakerbd lets some calls pass and fails all later ones. Thus a call that ends an object
is never made: the next call fails, until there is none.
"""

from __future__ import annotations

import errno
import gc
import queue
import random
import sys
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple, Type

import pytest

import rbd
from rbd import exceptions
from support import fakerbd, figures
from support.fakerbd import Kind, Shim
from support.fakerbd.driving import CODES, Driven, balance, everything
from support.location import LIMIT, SOAK, Where, open_all

pytestmark = [pytest.mark.timeout(LIMIT + 20), fakerbd.needs_compiler]

#: More calls than any method makes.
DEEPEST = 20
#: The short form drives a method through this many of the codes, in turn.
SHORT = 2

# Where a code is a result and not an error, or has another meaning: the expected exception.
MEANINGS: Dict[Tuple[str, int], Optional[Type[BaseException]]] = {
    ("rbd_lock_get_owners", errno.ENOENT): None,
    ("rbd_image_options_set_uint64", errno.EINVAL): rbd.FunctionNotSupported,
    ("rbd_compare_and_write", errno.EILSEQ): rbd.CompareMismatch,
    ("rbd_metadata_get", errno.ENOENT): KeyError,
    ("rbd_metadata_remove", errno.ENOENT): KeyError,
    ("rbd_pool_metadata_get", errno.ENOENT): KeyError,
    ("rbd_pool_metadata_remove", errno.ENOENT): KeyError,
}


class Pulse:
    """Another thread, which runs only if the interpreter is free."""

    def __init__(self) -> None:
        self._asked: queue.Queue[int] = queue.Queue()
        self._answered: queue.Queue[int] = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._answered.put(self._asked.get())

    def check(self) -> None:
        self._asked.put(1)
        self._answered.get(timeout=60)


def expected(name: str, function: str, code: int) -> Tuple[Optional[Type[BaseException]], Any]:
    """Return the class for an errno, and the errno of the exception."""
    if (function, code) in MEANINGS:
        kind = MEANINGS[function, code]
        own = {rbd.FunctionNotSupported: errno.ENOSYS, rbd.CompareMismatch: code}
        return kind, own.get(kind) if kind is not None else None
    table = exceptions.errno_to_exception
    # As in the stock module, an image's errors about its group are an image's errors.
    if "group" in name.lower() and not name.startswith("Image."):
        table = exceptions.group_errno_to_exception
    return table.get(code, rbd.OSError), code


def outcome(call: Callable[[], Any]) -> Optional[BaseException]:
    """Return what the call raises, if anything."""
    try:
        call()
    except BaseException as error:
        return error.with_traceback(None)
    return None


def fails(
    shim: Shim, driven: Driven, code: int, skip: int
) -> Tuple[int, Optional[str], Optional[BaseException]]:
    """Drive a call. Return how many calls failed, the last of them, and the exception."""
    shim.last()
    with shim.fault("*", Kind.ERROR, code, skip=skip):
        error = outcome(driven)
        count = shim.disarm()
    return count, shim.last(), error


def drive_through(shim: Shim, driven: Driven, codes: List[int], strange: List[str]) -> int:
    """Drive every code at every call that the method makes. Return how many times that was."""
    tried = 0
    for skip in range(DEEPEST):
        deepest = False
        for code in codes:
            count, function, error = fails(shim, driven, code, skip)
            tried += 1
            deepest = deepest or count <= 1
            if function is None:
                # The calls before fail only by the library's own answers, after which a method may
                # make fewer calls than after an injected failure.
                if skip == 0:
                    strange.append(f"{driven.name}: makes no call")
                deepest = True
                break
            kind, number = expected(driven.name, function, code)
            # A subclass is expected if the stock module raises errors of two kinds.
            fits = error is None if kind is None else isinstance(error, kind)
            if not fits or getattr(error, "errno", None) != number:
                strange.append(f"{driven.name}: {function} -{code}: {error!r}")
            # A message is for people, so it must not name source files.
            if any(word in str(error) for word in (".cpp", ".hpp", "std::")):
                strange.append(f"{driven.name} says {error}")
        if deepest:
            return tried
    strange.append(f"{driven.name}: more calls than {DEEPEST}")
    return tried


def every_errno(where: Where) -> List[Any]:
    """Drive everything. Return the numbers of methods, failed calls, functions, and the faults."""
    shim, pulse = Shim(), Pulse()
    _cluster, ioctx, image = open_all(where)
    driven = everything(shim, ioctx, image)
    strange: List[str] = []
    tried = 0
    codes = CODES
    for index, one in enumerate(driven):
        if not SOAK:
            codes = [CODES[(index * SHORT + more) % len(CODES)] for more in range(SHORT)]
        # Once before, for what is only made at the first call.
        fails(shim, one, errno.EIO, 0)
        handles = balance(shim)
        counts = [sys.getrefcount(value) for value in (ioctx, image, *one.arguments.values())]
        tried += drive_through(shim, one, codes, strange)
        pulse.check()
        gc.collect()
        after = [sys.getrefcount(value) for value in (ioctx, image, *one.arguments.values())]
        if balance(shim) != handles:
            strange.append(f"{one.name}: keeps handles, {handles}, {balance(shim)}")
        # The strings of other methods may belong to other threads, which may release them
        # meanwhile.
        if after[:2] != counts[:2] or any(now > then for now, then in zip(after, counts)):
            strange.append(f"{one.name}: keeps arguments, {counts}, {after}")
    return [len(driven), tried, strange]


def test_every_method_through_every_errno(shimmed: Callable[..., Any]) -> None:
    methods, tried, strange = shimmed(every_errno, timeout=LIMIT)
    assert not strange, "\n".join(strange)
    assert methods > 150
    figures.note("methods driven through every errno", methods)
    figures.note("calls that failed so", tried)


# Calls that are not about a pool: those on features and on the cluster.
PLACELESS = {"RBD.features_to_string", "RBD.features_from_string"} | {
    f"RBD.mirror_site_name_{verb}" for verb in ("get", "set")
}
# Failures before the call on the pool: librbd's own memory.
PREPARATIONS = ("error setting the option ", "error asking for ")


def every_place(where: Where) -> List[Any]:
    """Return how many errors name the pool and the namespace, and those that do not."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    driven = everything(shim, ioctx, image)
    # The image was opened before.
    ioctx.set_namespace("elsewhere")
    pool, told, silent = f"in pool '{where[1]}'", 0, []
    for one in driven:
        with shim.fault("*", Kind.ERROR, errno.EIO):
            error = outcome(one)
        text = str(error)
        apart = one.name in PLACELESS or any(words in text for words in PREPARATIONS)
        if not isinstance(error, rbd.OSError) or apart:
            continue
        told += 1
        namespace = f"{pool}, namespace 'elsewhere'"
        if (namespace if one.name.startswith(("RBD.", "Group.")) else pool) not in text:
            silent.append(f"{one.name}: {text}")
    return [told, silent]


def test_every_error_names_the_pool_and_the_namespace(shimmed: Callable[..., Any]) -> None:
    told, silent = shimmed(every_place, timeout=LIMIT)
    assert not silent, "\n".join(silent)
    assert told > 150


# Late and out of order


def late_completions(where: Where, rounds: int) -> int:
    """Completions come late and in any order. Each must find its call and its data."""
    import asyncio

    import rbd.aio

    shim = Shim()
    _cluster, _ioctx, image = open_all(where)
    blocks = [bytes([index]) * 4096 for index in range(64)]
    image.write(b"".join(blocks), 0)
    wrapped = rbd.aio.AsyncImage(image)
    shim.late(20)

    async def gather() -> List[bytes]:
        return await asyncio.gather(*(wrapped.read(index * 4096, 4096) for index in range(64)))

    for _ in range(rounds):
        got: Dict[int, bytes] = {}

        def came(index: int, got: Dict[int, bytes] = got) -> Callable[[Any, bytes], None]:
            return lambda _, data: got.__setitem__(index, data)

        completions = [image.aio_read(index * 4096, 4096, came(index)) for index in range(64)]
        for completion in completions:
            completion.wait_for_complete_and_cb()
            assert completion.get_return_value() == 4096
        assert [got[index] for index in range(64)] == blocks
        assert asyncio.run(gather()) == blocks
        offsets = [index * 4096 for index in range(64)]
        assert image.read_blocks(offsets, 4096, queue_depth=16) == b"".join(blocks)
        assert image.write_blocks(b"".join(blocks), offsets, queue_depth=16) == 64 * 4096
    for index in range(64):
        image.aio_write(blocks[index], index * 4096, None)
    image.close()
    shim.late(0)
    assert balance(shim)[0] == 0
    return rounds * 64 * 4


def test_late_completions_find_their_calls(shimmed: Callable[..., Any]) -> None:
    done = shimmed(late_completions, 1000 if SOAK else 5, timeout=LIMIT)
    figures.note("completions late and out of order", done)


# Functions that are not there


def without_one(where: Where) -> List[Any]:
    """Call everything without one function. What does not need the function must work as before."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    missing = rbd.library_info().missing
    refused = 0
    for one in everything(shim, ioctx, image):
        with shim.fault("*", Kind.ERROR, errno.EIO):
            error = outcome(one)
        if isinstance(error, rbd.FunctionNotSupported):
            assert any(name in str(error) for name in missing), error
            refused += 1
        else:
            assert error is None or isinstance(error, (rbd.Error, AttributeError)), error
    assert image.read(0, 4) == b"AAAA"
    image.close()
    return [len(missing), refused]


def optional() -> List[str]:
    """Return the functions that some releases lack, oldest release first."""
    functions = [(since, name) for name, since, rados in rbd._core.table() if not rados]
    oldest = min(since for since, _ in functions)
    return [name for since, name in sorted(functions) if since > oldest and rbd.supports(name)]


@pytest.mark.parametrize("seed", range(20 if SOAK else 2))
def test_missing_functions_are_named_or_replaced(shimmed: Callable[..., Any], seed: int) -> None:
    """Older forms may be missing too. Others are used, or the error names a function."""
    names = optional()
    choice = random.Random(seed)
    chosen = choice.sample(names, choice.randint(min(2, len(names)), len(names)))
    missing, _refused = shimmed(without_one, missing=",".join(chosen))
    assert missing >= len(chosen)


def test_each_missing_function_is_named_or_replaced(shimmed: Callable[..., Any]) -> None:
    names = optional()
    for name in names if SOAK else names[::25]:
        missing, _refused = shimmed(without_one, missing=name)
        assert missing
        figures.note("functions taken away", 1)
