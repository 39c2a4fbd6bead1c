"""Hostile arguments, and the stage on which every public method is called with them."""

from __future__ import annotations

import array
import asyncio
import contextlib
import ctypes
import faulthandler
import fractions
import gc
import inspect
import io
import itertools
import mmap
import os
import random
import resource
import tempfile
import threading
from typing import Any, Callable, Dict, Iterator, List, Tuple

import hypothesis
from hypothesis import strategies as st

import rbd
import rbd.aio
import rbd.rados
import rbd.transfer
from rbd.testing import LocalCluster
from support import memory_usage, public_surface, rados_rows

SIZE = 8 << 20
#: The time that one call may take, in seconds, before it counts as a hang.
HANG = 60
#: The most memory that the process may need, in KiB.
MEMORY = 1 << 20

#: Names of parameters for which librbd works object by object: a size of an exabyte is not an
#: attack, but a very long wait.
SIZES = {"size", "length"}
#: A number is a descriptor in these parameters, and the open ones belong to Ceph.
STREAMS = {"source", "dest", "first", "second", "fd"}


class Hostile(Exception):
    """What the hostile objects raise."""


class Answers:
    """Does something when it is used as an argument, and then returns a value."""

    def __init__(self, act: Callable[[], Any], answer: Any) -> None:
        self._act, self._answer = act, answer

    def _asked(self, *_: Any, **__: Any) -> Any:
        self._act()
        return self._answer

    __index__ = __int__ = __float__ = __len__ = __iter__ = __fspath__ = __bytes__ = _asked
    __call__ = __bool__ = __getitem__ = __next__ = __buffer__ = __eq__ = __enter__ = _asked
    __complex__ = __array__ = __array_interface__ = __dlpack__ = keys = items = read = _asked
    __await__ = readinto = write = fileno = seek = tell = _asked
    __hash__ = object.__hash__


class NoAttributes:
    """Refuses every access to its attributes."""

    def __getattribute__(self, name: str) -> Any:
        raise Hostile(name)


def _raise() -> None:
    raise Hostile


class ClusterStage:
    """A cluster with an image. Each is replaced when an example has spoilt it."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.local = cluster
        self.count = itertools.count()
        self.loop = asyncio.new_event_loop()
        self.client: Any = None
        self.ioctx: Any = None
        self.image: Any = None
        self.group: Any = None
        self.heal()

    def healthy(self) -> bool:
        """Return whether the next example can use the present handles."""
        try:
            self.client.get_fsid()
            # The context may be set to another namespace or snapshot.
            rbd.Image(self.ioctx, self.image.get_name(), read_only=True).close()
            self.ioctx.write_full("stage", b"x")
            return bool(
                self.ioctx.get_namespace() == ""
                and self.image.size() == SIZE
                and self.image.write(b"x", 0) == 1
            )
        except (rbd.Error, rbd.rados.Error, AttributeError):
            return False

    def heal(self) -> None:
        """Make new handles and a new image, if the old ones are spoilt."""
        if self.healthy():
            return
        if self.client is None or self.client.state != "connected":
            self.client = self.local.connect()
        self.ioctx = self.client.open_ioctx(self.local.pools[0])
        name = f"stage-{next(self.count)}"
        rbd.RBD().create(self.ioctx, name, SIZE)
        self.image = rbd.Image(self.ioctx, name)
        self.image.create_snap("snap")
        self.group = rbd.Group(self.ioctx, "group")
        with contextlib.suppress(rbd.Error):
            rbd.RBD().group_create(self.ioctx, "group")
        for pool in set(self.client.list_pools()) - set(self.local.pools):
            self.client.delete_pool(pool)

    def close(self) -> None:
        """Close everything while the cluster still answers."""
        self.image.close()
        self.ioctx.close()
        self.image = self.ioctx = self.group = None
        self.loop.close()
        gc.collect()
        self.client.shutdown()

    def close_elsewhere(self) -> None:
        """Close the image in another thread. That may have to wait for this one."""
        threading.Thread(target=self.image.close, daemon=True).start()


def values(stage: ClusterStage) -> List[Callable[[], Any]]:
    """Return the makers of hostile values."""
    numbers = [-1, -(2**63), 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, True]
    numbers += [0.5, float("nan"), float("inf"), 1j, fractions.Fraction(1, 3)]  # type: ignore[list-item]
    texts: List[Any] = ["", "\0", "a\0b", "\udc80", "\ud800x", "x" * 1_000_000, "\U0010ffff" * 300]
    texts += ["a/b@c", "../..", "%s%n%x", "group", "rbd", b"", b"\xff\xfe", b"a\0b", b"y" * 70_000]
    released = memoryview(b"gone")
    released.release()
    nested: List[Any] = []
    nested.append(nested)
    buffers: List[Any] = [
        bytearray(),
        memoryview(b"0123456789")[::2],
        memoryview(bytearray(4096))[::-1],
        memoryview(bytearray(64)).cast("B", (8, 8)),
        memoryview(ctypes.c_int(7)),
        array.array("d", [0.0]),
        (ctypes.c_char * 512)(),
        io.BytesIO(b"x" * 512).getbuffer(),
        mmap.mmap(-1, 4096),
        bytearray(SIZE + 1),
        released,
    ]
    with contextlib.suppress(ImportError):
        import numpy as np

        buffers += [np.zeros((4, 4))[:, ::2], np.asfortranarray(np.zeros((3, 4)))]
        buffers += [np.array([object()]), np.zeros(0), np.float64(2.5), np.int64(-1), np.uint64(1)]
    others: List[Any] = [None, object(), [], {}, (), type, print, ..., NotImplemented, nested]
    others += [[None], [[b"x"]], [bytearray(512), 3], {"": None}, [2**64], (1, 2, 3), {1: 2}]
    others += [NoAttributes(), stage.image, stage.ioctx, rbd.RBD(), b"x".join, [b""] * 5000]
    makers: List[Callable[[], Any]] = [lambda v=v: v for v in (*numbers, *texts, *others)]
    makers += [lambda v=v: v for v in buffers]
    makers += [lambda: iter([1, 2]), lambda: (i for i in [0, "x"]), lambda: io.FileIO(os.devnull)]
    actions: Tuple[Callable[[], Any], ...] = (
        _raise,
        gc.collect,
        lambda: stage.image.close(),
        lambda: stage.ioctx.close(),
        stage.close_elsewhere,
    )
    answers: Tuple[Any, ...] = (0, 512, -1, "text", None, 2**62, b"data", iter(()))
    for act, answer in itertools.product(actions, answers):
        makers.append(lambda a=act, b=answer: Answers(a, b))
    return makers


class Maker:
    """Makes a hostile value. hypothesis must not see it, because it examines what it draws."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def hostile(stage: ClusterStage) -> st.SearchStrategy[Any]:
    """Return hypothesis' values of every type, and the hostile ones."""
    return st.one_of(
        st.sampled_from(values(stage)).map(Maker),
        st.integers(),
        st.integers(min_value=0, max_value=SIZE + 4096),
        st.floats(),
        st.text(max_size=50),
        st.text(alphabet=st.characters(categories=["Cs", "Cc"]), max_size=5),
        st.binary(max_size=600),
        st.lists(st.integers(), max_size=5),
        st.tuples(st.integers(), st.integers()),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    )


def _watch(stage: ClusterStage) -> Any:
    stage.ioctx.write_full("stage", b"x")
    return stage.ioctx.watch("stage", print)


def _attributes(stage: ClusterStage) -> Any:
    stage.ioctx.set_xattr("stage", "name", b"value")
    return stage.ioctx.get_xattrs("stage")


def _entries(stage: ClusterStage) -> Any:
    with rbd.rados.WriteOpCtx() as op:
        stage.ioctx.set_omap(op, ("a",), (b"1",))
        stage.ioctx.operate_write_op(op, "stage")
    op = rbd.rados.ReadOp().create()
    found, _ = stage.ioctx.get_omap_vals(op, "", "", -1)
    stage.ioctx.operate_read_op(op, "stage")
    return found


#: The objects on which the methods of each class of rbd.rados, and of its forms in rbd.aio, are
#: called.
RADOS_SUBJECTS: Dict[str, Callable[[ClusterStage], Any]] = {
    "AsyncIoctx": lambda stage: rbd.aio.AsyncIoctx(stage.ioctx),
    "AsyncRados": lambda stage: rbd.aio.AsyncRados(stage.client),
    "Completion": lambda stage: stage.ioctx.aio_write_full("stage", b"x"),
    "Ioctx": lambda stage: stage.ioctx,
    "MonitorLog": lambda stage: rbd.rados.MonitorLog(stage.client, "warn", print, None),
    "Object": lambda stage: rbd.rados.Object(stage.ioctx, "stage"),
    "ObjectIterator": lambda stage: stage.ioctx.list_objects(),
    "OmapIterator": _entries,
    "OpCtx": lambda _: rbd.rados.OpCtx(),
    "Rados": lambda stage: stage.client,
    "ReadOp": lambda _: rbd.rados.ReadOp().create(),
    "ReadOpCtx": lambda _: rbd.rados.ReadOpCtx().create(),
    "Snap": lambda stage: rbd.rados.Snap(stage.ioctx, "snap", 1),
    "SnapIterator": lambda stage: stage.ioctx.list_snaps(),
    "Version": lambda _: rbd.rados.Version(1, 2, 3),
    "Watch": _watch,
    "WriteOp": lambda _: rbd.rados.WriteOp().create(),
    "WriteOpCtx": lambda _: rbd.rados.WriteOpCtx().create(),
    "XattrIterator": _attributes,
}


def subjects(stage: ClusterStage) -> Iterator[Tuple[str, Callable[[], Any]]]:
    """Return everything public that can be called: a name, and a function that returns the
    callable."""

    def of(what: str, make: Callable[[], Any]) -> Iterator[Tuple[str, Callable[[], Any]]]:
        for name in public_surface.methods(make()):
            yield f"{what}.{name}", lambda n=name: getattr(make(), n)

    yield from of("RBD", rbd.RBD)
    yield from of("Image", lambda: stage.image)
    yield from of("Group", lambda: stage.group)
    for name, make in RADOS_SUBJECTS.items():
        yield from of(f"rados.{name}", lambda m=make: m(stage))
    yield from of("new Rados", lambda: rbd.rados.Rados(rados_id="nobody", conffile=None))
    yield from of("Completion", lambda: stage.image.aio_flush(print))
    yield from of("Extents", lambda: stage.image.diff())
    yield from of("file", lambda: stage.image.open_file("r+b"))

    def wrapped() -> Any:
        async def open_one() -> Any:
            return await rbd.aio.open(stage.ioctx, stage.image.get_name())

        return stage.loop.run_until_complete(open_one())

    yield from of("AsyncImage", wrapped)
    for name in rbd.transfer.__all__:
        yield f"transfer.{name}", lambda n=name: getattr(rbd.transfer, n)
    for function in (rbd.connect, rbd.open, rbd.supports, rbd.make_ex, rbd.aio.open):
        yield f"{function.__module__}.{function.__name__}", lambda f=function: f
    for cls in (rbd.Image, rbd.Group, rbd.ImageArray, rbd.rados.Rados, rbd.ImageNotFound):
        yield cls.__name__, lambda c=cls: c
    for name, cls in rados_rows.classes():
        yield f"rados.{name}()", lambda c=cls: c
    for name in rbd.rados.__all__:
        value = getattr(rbd.rados, name)
        if callable(value) and not isinstance(value, type):
            yield f"rados.{name}", lambda v=value: v


def tame(parameter: str, value: Any) -> Any:
    """Return the value, unless it is a number that would only cause a long wait or hit Ceph's
    sockets."""
    # Not isinstance(), which calls the value.
    if issubclass(type(value), int):
        if parameter in STREAMS and 0 <= value < 1 << 20:
            return -1
        if parameter in SIZES and 64 << 20 < value < 2**64:
            return value % (64 << 20)
        if parameter in ("timeout", "delay", "osd"):
            return value % 5
    if parameter == "timeout" and issubclass(type(value), float) and value > 5:
        return 5
    return value


def exhaust(stage: ClusterStage, result: Any) -> None:
    """Use the result of a call completely."""
    if inspect.isawaitable(result):
        result = stage.loop.run_until_complete(asyncio.wait_for(result, HANG / 2))
    if isinstance(result, (rbd.Completion, rbd.rados.Completion)):
        result.wait_for_complete_and_cb()
    elif isinstance(result, io.IOBase):
        # A raw file would search for the end of a line byte by byte.
        result.read(512)
    elif hasattr(type(result), "__next__"):
        list(itertools.islice(result, 100))
    elif hasattr(result, "shutdown"):
        result.shutdown()
    elif type(result).__name__ == "Watch":
        result.close()


class Run:
    """Makes calls, and counts their outcomes."""

    def __init__(self, stage: ClusterStage, note: str) -> None:
        self.stage = stage
        self.note = os.open(note, os.O_WRONLY | os.O_CREAT, 0o600)
        self.calls = 0
        self.raised = 0
        self.wrong: Dict[str, str] = {}

    def call(self, what: str, function: Callable[..., Any], arguments: Dict[str, Any]) -> None:
        """Make one call. It may do anything but crash, hang, or raise an exception that is not
        Python's."""
        with contextlib.suppress(Exception):
            shown = {name: ascii(value)[:200] for name, value in arguments.items()}
            os.pwrite(self.note, f"{what} {shown}".encode()[:4000].ljust(4000), 0)
        faulthandler.dump_traceback_later(HANG, exit=True)
        self.calls += 1
        try:
            exhaust(self.stage, function(**arguments))
        except BaseException as error:
            self.raised += 1
            if problem := unfit(error):
                self.wrong.setdefault(what, problem)
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.stage.heal()


def unfit(error: BaseException) -> str:
    """Return what is wrong with an exception; nothing if it may be raised."""
    try:
        text = f"{type(error).__name__}: {error}"[:500]
    except Exception as inner:
        return f"{type(error).__name__} that cannot be printed: {inner!r}"
    if not isinstance(error, Exception):
        return text
    if isinstance(error, (SystemError, ReferenceError)) or type(error) is RuntimeError:
        return text
    if ".cpp" in text or "std::" in text:
        return text
    return ""


def drive(note: str, seed: int, examples: int, part: str) -> Dict[str, Any]:
    """Call everything with everything, with a few examples for each parameter; for a separate
    process.

    `part`: "rados" for the names of rbd.rados, "images" for the rest.
    """
    os.chdir(tempfile.mkdtemp())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    chosen = random.Random(seed)
    # A call that waits for a daemon that never comes has a limit.
    with LocalCluster(conf={"rados_osd_op_timeout": 30, "rados_mon_op_timeout": 5}) as cluster:
        stage = ClusterStage(cluster)
        run = Run(stage, note)
        targets = [
            one for one in subjects(stage) if one[0].startswith("rados.") == (part == "rados")
        ]
        chosen.shuffle(targets)
        for what, get in targets:
            parameters = public_surface.parameters(get()) or []
            if examples == 1:
                # The short form chooses another parameter each time.
                parameters = chosen.sample(parameters, min(1, len(parameters)))
            for parameter in [*parameters, None]:
                attack(run, what, get, parameter, chosen.randrange(2**32), examples)
        faulthandler.dump_traceback_later(HANG, exit=True)
        methods = len(targets)
        targets.clear()
        stage.close()
    return {
        "methods": methods,
        "calls": run.calls,
        "raised": run.raised,
        "peak_kib": memory_usage.peak(),
        "wrong": run.wrong,
    }


def attack(
    run: Run, what: str, get: Callable[[], Any], parameter: Any, seed: int, examples: int
) -> None:
    """Call with one hostile argument among good ones, or (None) with good ones only."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples if parameter else 1,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def example(data: st.DataObject) -> None:
        stage = run.stage
        function = get()
        arguments = {
            name: public_surface.candidates(name, stage.ioctx, stage.image)[0]
            for name in public_surface.required(function) or []
        }
        if parameter:
            value = data.draw(hostile(stage))
            if isinstance(value, Maker):
                value = value.make()
            arguments[parameter.name] = tame(parameter.name, value)
        run.call(what, function, arguments)

    example()
