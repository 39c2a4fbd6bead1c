"""Every public method of the rados classes passes the same tables as those of images.

support/rados_rows.py makes the rows from the classes.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import errno
import gc
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type

import pytest

import rbd
from rbd import rados
from support import fakerbd, figures, isolated, memory_usage, rados_rows
from support.fakerbd import Kind, Shim
from support.fakerbd.driving import CODES, balance
from support.location import LIMIT, SOAK, Where
from support.rados_rows import Row, RowStage

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


def test_every_method_has_a_row() -> None:
    assert rados_rows.without_row() == []
    assert rados_rows.outdated() == []
    assert len(rados_rows.rows()) > 200


def call_everything(where: Where) -> List[str]:
    """Call each row once. Return those that fail."""
    stage = RowStage(where)
    wrong: List[str] = []
    for row in rados_rows.called():
        stage.ready()
        try:
            row.prepared(stage)()
        except Exception as error:
            wrong.append(f"{row.name}: {type(error).__name__}: {error}")
    stage.close()
    return wrong


def test_every_method_works(where: Where) -> None:
    """A row that other tests make fail must not fail by itself."""
    assert isolated.run(call_everything, where, timeout=LIMIT) == []


# Every errno at each call that a method makes

#: More calls than any row makes.
DEEPEST = 20
#: The short form drives a row through this many of the codes, in turn.
SHORT = 2

#: Functions whose code is the first item of a command's result, as with the stock module.
COMMANDS = {f"rados_{which}_command" for which in ("mon", "mgr", "osd", "pg")}
# Where a code is a result and not an error, or has another meaning: the expected exception.
MEANINGS: Dict[Tuple[str, int], Optional[Type[BaseException]]] = {
    ("rados_application_metadata_get", errno.ENOENT): KeyError,
    # The data differ at the first byte.
    ("rados_cmpext", rados.MAX_ERRNO): None,
    ("rados_conf_get", errno.ENOENT): None,
    ("rados_pool_lookup", errno.ENOENT): None,
    ("rados_pool_reverse_lookup", errno.ENOENT): None,
    # The end of a listing.
    ("rados_nobjects_list_next2", errno.ENOENT): None,
}
# A watch ends whatever this returns, because it only waits for callbacks.
IGNORED = {"rados_watch_flush"}


def failing(shim: Shim, row: Row, stage: RowStage, code: int, skip: int) -> Tuple[int, Any, Any]:
    """Call a row with all calls after the first ones failing.

    Returns how many failed, the last of them, and what was returned or raised.
    """
    call = row.prepared(stage)
    shim.last()
    with shim.fault("*", Kind.ERROR, code, skip=skip):
        try:
            result = call()
        except BaseException as error:
            result = error.with_traceback(None)
        count = shim.disarm()
    return count, shim.last(), result


def fits(function: str, code: int, result: Any) -> bool:
    """Return whether the outcome is the right one for an errno of the function."""
    if function in IGNORED:
        return not isinstance(result, BaseException) or isinstance(result, rados.Error)
    if function in COMMANDS:
        return isinstance(result, tuple) and result[0] == -code
    kind = rados._errno_to_exception.get(code, rados.OSError)
    if code >= rados.MAX_ERRNO:
        kind = rados.ExtendMismatch
    kind = MEANINGS.get((function, code), kind)
    if kind is None:
        return not isinstance(result, Exception) or isinstance(result, StopIteration)
    return isinstance(result, kind) and getattr(result, "errno", None) == code


def every_errno(where: Where) -> List[Any]:
    """Return how many rows were driven, how often, and the wrong outcomes."""
    shim, stage = Shim(), RowStage(where)
    strange: List[str] = []
    driven = tried = 0
    codes = CODES
    for index, row in enumerate(rados_rows.rows()):
        if not SOAK:
            codes = [CODES[(index * SHORT + more) % len(CODES)] for more in range(SHORT)]
        reached = False
        for skip in range(DEEPEST):
            deepest = False
            for code in codes:
                stage.ready()
                count, function, result = failing(shim, row, stage, code, skip)
                deepest = deepest or count <= 1
                if function is None:
                    break
                reached = True
                tried += 1
                if not fits(function, code, result):
                    strange.append(f"{row.name}: {function} -{code}: {result!r}")
                if any(word in str(result) for word in (".cpp", ".hpp", "std::")):
                    strange.append(f"{row.name} says {result}")
            if deepest or not reached:
                break
        else:
            strange.append(f"{row.name}: more calls than {DEEPEST}")
        driven += reached
    stage.close()
    return [driven, tried, strange]


@fakerbd.needs_compiler
def test_every_method_through_every_errno(shimmed: Callable[..., Any]) -> None:
    driven, tried, strange = shimmed(every_errno, rados=True, timeout=LIMIT)
    assert not strange, "\n".join(strange)
    assert driven > 130
    figures.note("methods on objects driven through every errno", driven)
    figures.note("calls of theirs that failed so", tried)


# The text of an error

#: Rows whose errors are about something other than the pool of their context, and why.
PLACELESS = {
    "OmapIterator.__next__": "librados reads what the operation, which names it, has brought",
}
#: Rows that first open another context, whose error names the pool.
OPENING = {"Ioctx.watch", "Watch()"}


def every_place(where: Where) -> List[Any]:
    """Return how many errors name what they are about, and those that do not."""
    shim, stage = Shim(), RowStage(where)
    told, silent = 0, []
    for row in rados_rows.rows():
        stage.ready()
        call = row.prepared(stage)
        with shim.fault("*", Kind.ERROR, errno.EIO):
            try:
                call()
                continue
            except rados.Error as error:
                text = str(error)
        if row.cls.__name__ in ("Rados", "AsyncRados", "MonitorLog") or row.name in PLACELESS:
            continue
        told += 1
        own_pool = "pool 'rows-" in text
        place = f"pool '{where[1]}', namespace '{stage.namespace}'"
        named = {"key", "oid", "obj", "object_name"} & {*row.names()}
        about_object = (row.cls.__name__ in ("Object", "Watch") or named) and not (
            "application" in row.name or row.name in OPENING
        )
        placed = place in text or own_pool or row.name == "Ioctx()"
        object_told = "object 'object'" in text or "object 'extra'" in text
        if not placed or (about_object and not object_told):
            silent.append(f"{row.name}: {text}")
    stage.close()
    return [told, silent]


@fakerbd.needs_compiler
def test_every_error_names_object_pool_and_namespace(shimmed: Callable[..., Any]) -> None:
    told, silent = shimmed(every_place, rados=True, timeout=LIMIT)
    assert not silent, "\n".join(silent)
    assert told > 80


# The interpreter's lock

# These functions only queue something, or make and free its holder.
AT_ONCE = {
    "rados_buffer_free",
    "rados_omap_get_end",
    "rados_omap_get_next2",
    "rados_release_read_op",
    "rados_release_write_op",
}


def call_with_lock_watched(where: Where) -> List[str]:
    shim, stage = Shim(), RowStage(where)
    shim.watch_lock()
    for row in rados_rows.called():
        stage.ready()
        row.prepared(stage)()
    stage.close()
    return sorted(shim.held() - AT_ONCE)


@fakerbd.needs_compiler
def test_every_method_releases_the_interpreter_lock(shimmed: Callable[..., Any]) -> None:
    assert shimmed(call_with_lock_watched, rados=True, timeout=LIMIT) == []


# Closed handles, and handles of the parent

#: Rows that do not need the connection, or that end something twice.
LOCAL = {
    *("Ioctx.close", "Ioctx.__enter__", "Ioctx.__exit__", "AsyncIoctx.close", "AsyncIoctx()"),
    *("Ioctx.create_read_op", "Ioctx.create_write_op"),
    *("Ioctx.release_read_op", "Ioctx.release_write_op"),
    # These add to an operation.
    *("Ioctx.clear_omap", "Ioctx.get_omap_keys", "Ioctx.get_omap_vals"),
    *("Ioctx.get_omap_vals_by_keys", "Ioctx.remove_omap_keys", "Ioctx.remove_omap_range2"),
    "Ioctx.set_omap",
    *("Object()", "Object.require_object_exists", "Object.seek", "Snap()"),
    # These read data that is already there.
    *("OmapIterator()", "OmapIterator.__next__", "XattrIterator.__next__"),
    *("Watch.__enter__", "Watch.__exit__", "Watch.close", "Watch.get_id"),
    *("Rados()", "Rados.shutdown", "Rados.__exit__", "Rados.version"),
    *("AsyncRados()", "AsyncRados.shutdown"),
}
#: Rows that work on a context whose connection is shut down.
KEPT = {
    *("Ioctx.get_last_version", "Ioctx.get_namespace", "Ioctx.get_pool_id", "Ioctx.get_pool_name"),
    *("Ioctx.get_locator_key", "Ioctx.require_ioctx_open"),
    *("Ioctx.set_locator_key", "Ioctx.set_namespace"),
    *("Ioctx.set_osdmap_full_try", "Ioctx.unset_osdmap_full_try"),
}
#: Rows on a client that is not connected yet.
UNCONNECTED = {
    *("Rados.__enter__", "Rados.connect", "Rados.conf_parse_argv", "Rados.conf_parse_env"),
    *("Rados.conf_read_file", "Rados.conf_set", "Rados.require_state", "AsyncRados.conf_set"),
}
#: Rows with another context, which stays open if the caller's is closed.
OWN_CONTEXT = {"Watch.check", "Ioctx()"}
#: Classes whose objects have neither a context nor a connection.
APART = ("Completion", "ReadOp", "ReadOpCtx", "WriteOp", "WriteOpCtx")


def handles(kind: type) -> List[Any]:
    """Return the handles of the kind in the process. No thread may be making one meanwhile."""
    return [one for one in gc.get_objects() if type(one) is kind]


def close_all(found: List[Any]) -> None:
    """Close the open ones of the handles."""
    for one in found:
        if type(one) is rados.Ioctx:
            one.close()
        elif one.state == "connected":
            one.shutdown()


def refused_when_closed(where: Where) -> List[Any]:
    """Return how many rows were refused, and those that were not, or wrongly."""
    stage = RowStage(where)
    refused, wrong = 0, []
    for kind in (rados.Ioctx, rados.Rados):
        for row in rados_rows.rows():
            name = row.cls.__name__
            if name in APART or (kind is rados.Ioctx and name in NO_CONTEXT):
                continue
            stage.ready()
            call = row.prepared(stage)
            close_all(handles(kind))
            works = row.name in LOCAL | UNCONNECTED
            works |= row.name in (KEPT if kind is rados.Rados else OWN_CONTEXT)
            try:
                call()
                if not works:
                    wrong.append(f"{kind.__name__} closed: {row.name} works")
            except rados.Error as error:
                right = isinstance(error, (rados.IoctxStateError, rados.RadosStateError))
                if works or not right or error.errno is not None:
                    wrong.append(f"{kind.__name__} closed: {row.name}: {error!r}")
                refused += 1
    stage.close()
    return [refused, wrong]


#: Classes whose rows need no context.
NO_CONTEXT = ("Rados", "AsyncRados", "MonitorLog")


def test_closed_handles_refuse_every_call(where: Where) -> None:
    refused, wrong = isolated.run(refused_when_closed, where, timeout=LIMIT)
    assert not wrong, "\n".join(wrong)
    assert refused > 200


#: A child process refuses even these.
REFUSED_IN_CHILD = {"Watch.close", "Watch.__enter__", "Watch.__exit__"}
#: This works in a child process too.
WORK_IN_CHILD = {"Rados.require_state"}


def in_child(calls: List[Tuple[Row, Callable[[], Any]]]) -> List[str]:
    """Return what is wrong with the calls in a process that inherited their subjects."""
    wrong = []
    for row, call in calls:
        works = (row.name in LOCAL | WORK_IN_CHILD) and row.name not in REFUSED_IN_CHILD
        try:
            call()
            if not works:
                wrong.append(f"{row.name} works")
        except rados.ConnectionShutdown as error:
            if works or error.errno is not None or not isinstance(error, rbd.ConnectionShutdown):
                wrong.append(f"{row.name}: {error!r}")
        except Exception as error:
            wrong.append(f"{row.name}: {error!r}")
    return wrong


def fork_with_every_row(where: Where) -> List[Any]:
    """Return how many rows were called in a child, and what is wrong with them."""
    stage = RowStage(where)
    calls = []
    for row in rados_rows.rows():
        if row.cls.__name__ not in APART:
            calls.append((row, row.prepared(stage)))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        stage.loop = asyncio.new_event_loop()
        os.write(writing, "\n".join(in_child(calls)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        wrong = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        wrong.append(f"the child ended with {status}")
    # The parent's handles work as before.
    assert stage.ioctx.read("object", 4) == rados_rows.CONTENT[:4]
    calls_made = len(calls)
    calls.clear()
    stage.close()
    return [calls_made, wrong]


def test_every_method_is_refused_in_a_child(where: Where) -> None:
    called, wrong = isolated.run(fork_with_every_row, where, watched=False, timeout=LIMIT)
    assert not wrong, "\n".join(wrong)
    assert called > 130


# Threads and signals


def end_under_every_row(where: Where) -> List[str]:
    """Close the context, or shut the connection down, in another thread during each call."""
    stage = RowStage(where)
    wrong: List[str] = []
    for kind in (rados.Ioctx, rados.Rados):
        for row in rados_rows.called():
            stage.ready()
            call = row.prepared(stage)
            begun, found = threading.Event(), handles(kind)

            def end(begun: threading.Event = begun, found: List[Any] = found) -> None:
                begun.wait()
                close_all(found)

            thread = threading.Thread(target=end)
            thread.start()
            begun.set()
            try:
                call()
            except rados.Error as error:
                if error.errno is not None:
                    wrong.append(f"{row.name}: {error!r}")
            except Exception as error:
                wrong.append(f"{row.name}: {error!r}")
            thread.join(60)
            assert not thread.is_alive(), row.name
    stage.close()
    return wrong


def test_closing_in_another_thread_beside_every_method_is_safe(where: Where) -> None:
    assert isolated.run(end_under_every_row, where, timeout=LIMIT) == []


def signal_every_row(where: Where) -> List[Any]:
    """Return how many signals were handled, and the rows that they disturbed."""
    stage = RowStage(where)
    handled, wrong = 0, []

    def handler(*_: Any) -> None:
        nonlocal handled
        handled += 1

    signal.signal(signal.SIGALRM, handler)
    for row in rados_rows.called():
        stage.ready()
        call = row.prepared(stage)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            call()
        except Exception as error:
            wrong.append(f"{row.name}: {error!r}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0, 0)
    stage.close()
    return [handled, wrong]


def test_signals_disturb_no_method(where: Where) -> None:
    handled, wrong = isolated.run(signal_every_row, where, timeout=LIMIT)
    assert not wrong, "\n".join(wrong)
    assert handled > 100


# Memory

#: The number of calls of a row, and of a row that asks the monitors or makes a connection.
OFTEN, SELDOM = (2000, 50) if SOAK else (6, 2)
#: The memory that may change by itself, in KiB.
SLACK = 4096
#: Rows that leave something in the cluster, or take a second each.
SLOW = {"Rados.mgr_command", "Rados.create_pool", "AsyncRados.create_pool"}


def keep_nothing(where: Where, often: int, seldom: int) -> List[Any]:
    """Return how many calls were made, the growth of memory in KiB, and the rows that keep
    something."""
    shim, stage = Shim(), RowStage(where)
    kept: List[str] = []
    calls = 0

    def times(row: Row, count: int) -> None:
        stage.ready()
        for _ in range(count):
            # A second lock, or a second removal, is refused. That must keep nothing either.
            with contextlib.suppress(rados.Error):
                row.prepared(stage)()

    def counts() -> List[Any]:
        gc.collect()
        objects = sum(type(one).__module__.startswith("rbd") for one in gc.get_objects())
        return [objects, balance(shim), sys.getrefcount(stage.ioctx)]

    stage.snapshots()
    rows = [row for row in rados_rows.called() if row.name not in SLOW]
    for row in rows:
        times(row, 2)
    stage.ready()
    before, memory = counts(), memory_usage.now()
    for row in rows:
        rare = row.cls.__name__ in ("Rados", "AsyncRados", "SnapIterator", "MonitorLog")
        count = seldom if rare or "snap" in row.name else often
        times(row, count)
        calls += count
        # A thread of rbd.aio may release its last call a moment later.
        deadline = time.monotonic() + 5
        while (after := counts()) > before and time.monotonic() < deadline:
            time.sleep(0.01)
        if after[0] > before[0] or after[1:] != before[1:]:
            kept.append(f"{row.name}: {before}, then {after}")
        before = after
    memory = memory_usage.now() - memory
    # The threads of the callbacks and of rbd.aio.
    assert threading.active_count() < 16, threading.enumerate()
    stage.close()
    return [calls, memory, kept]


@fakerbd.needs_compiler
def test_no_method_keeps_anything(shimmed: Callable[..., Any]) -> None:
    calls, grown, kept = shimmed(
        keep_nothing, OFTEN, SELDOM, rados=True, timeout=LIMIT, development=False
    )
    assert not kept, "\n".join(kept)
    assert grown < SLACK * memory_usage.LEEWAY + calls // 20, f"{grown} KiB over {calls} calls"
    figures.note("calls on objects that kept nothing", calls)


# Bad input


class Bad(NamedTuple):
    """A value that a kind of parameter refuses, and its error."""

    value: Any
    error: Any


TOO_LARGE = Bad(2**64, OverflowError)
#: The values that each kind of parameter refuses. The kinds are the annotations, without Optional.
BAD: Dict[str, List[Bad]] = {
    "Text": [Bad(object(), TypeError), Bad(5, TypeError), Bad("a\0b", ValueError)],
    "SupportsIndex": [
        *(Bad("1", TypeError), Bad(1.5, TypeError), Bad(object(), TypeError)),
        *(Bad(-(2**65), OverflowError), TOO_LARGE),
    ],
    "AnyBuffer": [
        *(Bad(object(), TypeError), Bad(None, TypeError), Bad(5, TypeError)),
        Bad(memoryview(b"0123")[::2], (BufferError, ValueError, TypeError)),
    ],
    "float": [Bad("1", TypeError), Bad(float("nan"), ValueError)],
    "bool": [Bad(object(), TypeError)],
    "Iterable[Text]": [Bad(5, TypeError), Bad([5], TypeError)],
    "Iterable[SupportsIndex]": [Bad(5, TypeError), Bad(["1"], TypeError)],
    "Mapping": [Bad(5, TypeError), Bad({5: 5}, TypeError)],
    "Callable": [Bad(5, TypeError), Bad("print", TypeError)],
    # As with the stock module.
    "listener": [Bad(5, rados.LogicError), Bad("print", rados.LogicError)],
    "path": [Bad(1.5, TypeError), Bad(object(), TypeError), Bad("a\0b", ValueError)],
    "target": [Bad(1.5, TypeError), Bad(object(), TypeError), Bad("a\0b", ValueError)],
    "object": [Bad(None, TypeError), Bad("object", TypeError), Bad(5, TypeError)],
}
#: The kind of each annotation in the stubs.
KINDS: Dict[str, str] = {
    **{name: name for name in ("Text", "SupportsIndex", "AnyBuffer", "float", "bool")},
    "Iterable[Text]": "Iterable[Text]",
    "Iterable[SupportsIndex]": "Iterable[SupportsIndex]",
    "Iterable[Union[str, AnyBuffer]]": "Iterable[Text]",
    "int": "SupportsIndex",
    "str": "Text",
    "Union[str, AnyBuffer]": "AnyBuffer",
    "Mapping[Text, Text]": "Mapping",
    "Mapping[str, str]": "Mapping",
    "Mapping[Text, Union[str, AnyBuffer]]": "Mapping",
    "_Plain": "Callable",
    "_WatchCallback": "Callable",
    "_PlainListener": "listener",
    "_FullListener": "listener",
    "_Path": "path",
    "Union[Text, int, None]": "target",
    "Union[_Path, int, None]": "path",
    **dict.fromkeys(("Ioctx", "Rados", "ReadOp", "WriteOp"), "object"),
}


#: Parameters of another kind than their annotation's.
OTHER_KINDS = {"MonitorLog().callback": "listener"}
#: Rows that only store their arguments.
RECORDS = {"Snap()"}


def annotations() -> Dict[str, Dict[str, str]]:
    """Return the annotation of each parameter, by class and method, from the package's stubs."""
    package = Path(rbd.__file__).parent
    files = ["rados/_bound.pyi", "aio/ioctx.py", "aio/cluster.py", "aio/_methods.pyi"]
    files += [f"rados/{name}.py" for name in ("object", "operation", "monitor_log", "snapshot")]
    found: Dict[str, Dict[str, str]] = {}
    for file in files:
        for node in ast.parse((package / file).read_text()).body:
            for one in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found[f"{node.name}.{one.name}"] = {
                        argument.arg: ast.unparse(argument.annotation)
                        for argument in [*one.args.args, *one.args.kwonlyargs]
                        if argument.annotation is not None
                    }
    return found


def annotated(row: Row, known: Dict[str, Dict[str, str]]) -> Dict[str, str]:
    """Return the kind of each parameter of a row that has bad values."""
    for cls in row.cls.__mro__:
        found = known.get(f"{cls.__name__}.{row.method or '__init__'}")
        if found is not None and not row.method.startswith("__"):
            kinds = {name: kind_of(text) for name, text in found.items()}
            return {
                n: OTHER_KINDS.get(f"{row.name}.{n}", kind) for n, kind in kinds.items() if kind
            }
    return {}


def kind_of(annotation: str) -> str:
    """Return the kind; nothing for a parameter that takes anything. Raises KeyError for a new
    annotation."""
    optional = re.fullmatch(r"Optional\[(.+)\]", annotation)
    plain = optional[1] if optional else annotation
    if plain == "Any":
        return ""
    return "Callable" if plain.startswith("Callable[") else KINDS[plain]


def refuse_bad_input(where: Where) -> List[Any]:
    """Return how many bad values were refused, and those that were not, or not before a call."""
    shim, stage, known = Shim(), RowStage(where), annotations()
    refused, wrong = 0, []
    for row in rados_rows.rows():
        kinds = {} if row.name in RECORDS else annotated(row, known)
        for name, kind in kinds.items():
            for bad in BAD[kind]:
                stage.ready()
                function = row.function(stage)
                arguments = {**row.arguments(stage), name: bad.value}
                what = f"{row.name}: {name}={bad.value!r:.40}"
                with shim.fault("*", Kind.ERROR, errno.EIO):
                    try:
                        rados_rows.call_and_exhaust(stage, function, arguments)
                        error: Any = None
                    except Exception as caught:
                        error = caught
                    made = shim.disarm()
                if not isinstance(error, bad.error):
                    wrong.append(f"{what} raises {error!r}")
                elif made:
                    wrong.append(f"{what} is refused after {shim.last()}")
                refused += 1
    stage.close()
    return [refused, wrong]


@fakerbd.needs_compiler
def test_bad_input_is_refused_before_any_call(shimmed: Callable[..., Any]) -> None:
    refused, wrong = shimmed(refuse_bad_input, rados=True, timeout=LIMIT)
    assert not wrong, "\n".join(wrong)
    assert refused > 1000


# Missing objects

#: Parameters that name an object.
OBJECTS = {"key", "oid", "obj", "object_name"}


def name_what_is_missing(where: Where) -> List[Any]:
    """Return how many rows raised ObjectNotFound for a missing object, and what lacks in it."""
    stage = RowStage(where)
    raised, silent = 0, []
    place = f"object 'absent' in pool '{where[1]}', namespace '{stage.namespace}'"
    for row in rados_rows.called():
        named = OBJECTS & {*row.names()}
        if not named or "application" in row.name or row.name in RECORDS:
            continue
        stage.ready()
        function, arguments = row.function(stage), row.arguments(stage)
        try:
            rados_rows.call_and_exhaust(
                stage, function, {**arguments, **dict.fromkeys(named, "absent")}
            )
        except rados.ObjectNotFound as error:
            raised += 1
            if place not in str(error) and "pool 'rows-" not in str(error):
                silent.append(f"{row.name}: {error}")
        with contextlib.suppress(rados.ObjectNotFound):
            stage.context().remove_object("absent")
    stage.close()
    return [raised, silent]


def test_a_missing_object_is_named(where: Where) -> None:
    raised, silent = isolated.run(name_what_is_missing, where, timeout=LIMIT)
    assert not silent, "\n".join(silent)
    assert raised >= 15


def call_with_some_missing(where: Where) -> List[str]:
    """Return rows whose outcome is neither right nor names a missing function."""
    stage = RowStage(where)
    missing = rbd.library_info().missing
    strange: List[str] = []
    refused = 0
    for row in rados_rows.called():
        try:
            stage.ready()
            row.prepared(stage)()
        except rbd.FunctionNotSupported as error:
            refused += 1
            if not any(name in str(error) for name in missing):
                strange.append(f"{row.name}: {error}")
        except (rados.Error, AttributeError, StopIteration):
            continue
        except Exception as error:
            strange.append(f"{row.name}: {error!r}")
    assert refused
    return strange


#: The functions that the preparation of the rows calls.
VITAL = (
    *("rados_create", "rados_connect", "rados_conf", "rados_version", "rados_ioctx_create"),
    *("rados_ioctx_locator", "rados_ioctx_set_namespace", "rados_ioctx_snap_set_read"),
    *("rados_list_lockers", "rados_break_lock", "rados_release_write_op"),
    *("rados_write_op_write_full", "rados_write_op_setxattr", "rados_write_op_omap_set"),
    "rados_write_op_operate",
)


@fakerbd.needs_compiler
@pytest.mark.parametrize("seed", range(20 if SOAK else 2))
def test_missing_functions_are_named(shimmed: Callable[..., Any], seed: int) -> None:
    names = [
        name
        for name, _, of_rados in rbd._core.table()
        if of_rados and rbd.supports(name) and not name.startswith(VITAL)
    ]
    chosen = random.Random(seed).sample(names, 20)
    strange = shimmed(call_with_some_missing, missing=",".join(chosen), rados=True, timeout=LIMIT)
    assert strange == []
