"""Every public method of rbd.rados and of rbd.aio's contexts: a subject, and suitable arguments.

The rows come from the classes, so a new method has a row or fails a test. The tables below have
what a row needs beyond the usual value for each parameter's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import re
import secrets
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import rbd
import rbd.aio
from rbd import rados
from support.location import Where, connect
from support.public_surface import parameters

CONTENT = b"0123456789abcdef" * 32

#: Classes without a method that asks the cluster, and why.
NO_ROWS = {
    "OpCtx": "only what WriteOpCtx and ReadOpCtx inherit",
    "Version": "three numbers",
}
#: Classes that a program gets from a call, and cannot construct.
NOT_CONSTRUCTED = {"Completion"}
#: Methods that a program calls, although their names begin with an underscore.
SPECIAL = ("__enter__", "__exit__", "__next__")

#: Rows whose calls must not reach the cluster, and why.
NOT_CALLED = {
    "Rados.get_inconsistent_pgs": "waits for a manager, and there is none",
    "AsyncRados.get_inconsistent_pgs": "waits for a manager, and there is none",
    "Rados.ping_monitor": "librados crashes once in some hundred calls",
    "AsyncRados.ping_monitor": "librados crashes once in some hundred calls",
}
#: Rows that end the connection or the context of the other rows, which then get new ones.
ENDS = {
    f"{name}.{method}"
    for name, methods in {
        "Rados": ("shutdown", "__exit__"),
        "Ioctx": ("close", "__exit__"),
        "AsyncRados": ("shutdown",),
        "AsyncIoctx": ("close",),
    }.items()
    for method in methods
}


class RowStage:
    """A connection and the subjects of the rows. Each is replaced if a call has spoilt it."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self._names = (f"{secrets.token_hex(4)}-{number}" for number in itertools.count())
        self.namespace = f"rows-{secrets.token_hex(4)}"
        self.loop = asyncio.new_event_loop()
        self.cluster: Any = None
        self.ioctx: Any = None
        self._snapshots: Any = None
        self._pool = ""
        self.ready()

    def name(self) -> str:
        """Return an unused name."""
        return next(self._names)

    def ready(self) -> None:
        """Connect if a call has ended the connection, and restore the object."""
        if self.cluster is None or self.cluster.state != "connected":
            self.cluster, self.ioctx = connect(self.where)
            self._snapshots = None
        if self.ioctx.state != "open":
            self.ioctx = self.cluster.open_ioctx(self.where[1])
        self.ioctx.set_namespace(self.namespace)
        self.ioctx.set_locator_key("")
        self.ioctx.set_read(rados.LIBRADOS_SNAP_HEAD)
        with rados.WriteOpCtx() as op:
            op.write_full(CONTENT)
            op.set_xattr("name", b"value")
            self.ioctx.set_omap(op, ("a", "b"), (b"1", b"2"))
            self.ioctx.operate_write_op(op, "object")
        locked = self.ioctx.list_lockers("object", "name")
        for client, cookie, _ in locked["lockers"] if locked else ():
            self.ioctx.break_lock("object", "name", client, cookie)

    # What a row may need. Each is made for one row.

    def connected(self) -> rados.Rados:
        """Return a new connection, for a row that ends it."""
        return rbd.connect(self.where[0])

    def context(self) -> rados.Ioctx:
        """Return a new context, for a row that changes or ends it."""
        found = self.cluster.open_ioctx(self.where[1])
        found.set_namespace(self.namespace)
        return found  # type: ignore[no-any-return]

    def unconnected(self) -> rados.Rados:
        return rados.Rados(conffile=str(self.where[0]))

    def snapshots(self) -> rados.Ioctx:
        """Return a context of a pool that has a snapshot, "snap", of its "object"."""
        if self._snapshots is None or self._snapshots.state != "open":
            if not self._pool:
                self._pool = f"rows-{self.name()}"
                self.cluster.create_pool(self._pool)
            self._snapshots = self.cluster.open_ioctx(self._pool)
            self._snapshots.write_full("object", CONTENT)
            with contextlib.suppress(rados.ObjectExists):
                self._snapshots.create_snap("snap")
        return self._snapshots  # type: ignore[no-any-return]

    def own_snapshots(self) -> Tuple[rados.Ioctx, int]:
        """Return a context, and a self-managed snapshot of its "object"."""
        ioctx = self.context()
        ioctx.set_read(rados.LIBRADOS_SNAP_HEAD)
        number = ioctx.create_self_managed_snap()
        ioctx.set_self_managed_snap_write([number])
        ioctx.write_full("object", CONTENT)
        return ioctx, number

    def writing(self) -> rados.WriteOp:
        op = rados.WriteOp().create()
        op.write_full(CONTENT)
        return op

    def reading(self) -> rados.ReadOp:
        op = rados.ReadOp().create()
        op.cmpext(CONTENT[:4])
        return op

    def entries(self) -> Any:
        op = rados.ReadOp().create()
        found, _ = self.ioctx.get_omap_vals(op, "", "", -1)
        self.ioctx.operate_read_op(op, "object")
        return found

    def watch(self) -> rados.Watch:
        return self.ioctx.watch("object", ignore)  # type: ignore[no-any-return]

    def locked(self) -> rados.Ioctx:
        ioctx = self.context()
        with contextlib.suppress(rados.ObjectExists):
            ioctx.lock_exclusive("object", "name", "cookie")
        return ioctx

    def extra(self, name: str) -> str:
        """Return the name of an object that a row may remove."""
        self.ioctx.write_full(name, CONTENT)
        return name

    def close(self) -> None:
        if self._pool:
            with contextlib.suppress(rados.Error), rbd.connect(self.where[0]) as cluster:
                cluster.delete_pool(self._pool)
        self.loop.close()
        if self.cluster is not None:
            self.cluster.shutdown()


def ignore(*_: Any) -> None:
    """Do nothing; a callback."""


#: The subjects of the rows.
SUBJECTS: Dict[str, Callable[[RowStage], Any]] = {
    "Completion": lambda stage: stage.ioctx.aio_write_full("object", CONTENT),
    "Ioctx": lambda stage: stage.ioctx,
    "MonitorLog": lambda stage: rados.MonitorLog(stage.cluster, "warn", ignore, None),
    "Object": lambda stage: rados.Object(stage.ioctx, "object", nspace=stage.namespace),
    "ObjectIterator": lambda stage: stage.ioctx.list_objects(),
    "OmapIterator": lambda stage: stage.entries(),
    "Rados": lambda stage: stage.cluster,
    "ReadOp": lambda stage: rados.ReadOp().create(),
    "ReadOpCtx": lambda stage: rados.ReadOpCtx().create(),
    "Snap": lambda stage: stage.snapshots().lookup_snap("snap"),
    "SnapIterator": lambda stage: stage.snapshots().list_snaps(),
    "Watch": lambda stage: stage.watch(),
    "WriteOp": lambda stage: rados.WriteOp().create(),
    "WriteOpCtx": lambda stage: rados.WriteOpCtx().create(),
    "XattrIterator": lambda stage: stage.ioctx.get_xattrs("object"),
    "AsyncIoctx": lambda stage: rbd.aio.AsyncIoctx(stage.ioctx),
    "AsyncRados": lambda stage: rbd.aio.AsyncRados(stage.cluster),
}

#: The subjects of these rows, in place of the usual ones.
OTHER_SUBJECTS: Dict[str, Callable[[RowStage], Any]] = {
    **{name: lambda stage: stage.connected() for name in ENDS if name.startswith("Rados.")},
    **{name: lambda stage: stage.context() for name in ENDS if name.startswith("Ioctx.")},
    "AsyncRados.shutdown": lambda stage: rbd.aio.AsyncRados(stage.connected()),
    "AsyncIoctx.close": lambda stage: rbd.aio.AsyncIoctx(stage.context()),
    "Rados.__enter__": lambda stage: stage.unconnected(),
    "Rados.connect": lambda stage: stage.unconnected(),
    "Rados.require_state": lambda stage: stage.unconnected(),
    "Rados.conf_parse_argv": lambda stage: stage.unconnected(),
    "Rados.conf_parse_env": lambda stage: stage.unconnected(),
    "Rados.conf_read_file": lambda stage: stage.unconnected(),
    "Rados.conf_set": lambda stage: stage.unconnected(),
    "AsyncRados.conf_set": lambda stage: rbd.aio.AsyncRados(stage.unconnected()),
    "Rados.service_daemon_register": lambda stage: stage.connected(),
    "Rados.service_daemon_update": lambda stage: _registered(stage),
    **{
        f"{name}.{method}": make
        for name, make in {
            "ReadOp": lambda _: rados.ReadOp(),
            "ReadOpCtx": lambda _: rados.ReadOpCtx(),
            "WriteOp": lambda _: rados.WriteOp(),
            "WriteOpCtx": lambda _: rados.WriteOpCtx(),
        }.items()
        for method in ("create", "__enter__")
        if method == "create" or name.endswith("Ctx")
    },
    "ReadOpCtx.set_flags": lambda stage: _with_part(rados.ReadOpCtx()),
    "WriteOpCtx.set_flags": lambda stage: _with_part(rados.WriteOpCtx()),
    "ReadOp.set_flags": lambda stage: stage.reading(),
    "WriteOp.set_flags": lambda stage: stage.writing(),
    "Ioctx.break_lock": lambda stage: stage.locked(),
    "Ioctx.unlock": lambda stage: stage.locked(),
    "Ioctx.create_snap": lambda stage: stage.snapshots(),
    "Ioctx.list_snaps": lambda stage: stage.snapshots(),
    "Ioctx.lookup_snap": lambda stage: stage.snapshots(),
    "Ioctx.remove_snap": lambda stage: _with_snapshot(stage),
    "Ioctx.snap_rollback": lambda stage: stage.snapshots(),
    "Ioctx.set_read": lambda stage: stage.context(),
    "Ioctx.set_namespace": lambda stage: stage.context(),
    "Ioctx.set_locator_key": lambda stage: stage.context(),
    "Ioctx.set_osdmap_full_try": lambda stage: stage.context(),
    "Ioctx.unset_osdmap_full_try": lambda stage: stage.context(),
    "Ioctx.set_self_managed_snap_write": lambda stage: stage.context(),
    "Ioctx.remove_self_managed_snap": lambda stage: stage.context(),
    "Ioctx.rollback_self_managed_snap": lambda stage: stage.context(),
    "Ioctx.create_self_managed_snap": lambda stage: stage.context(),
}


def _with_part(operation: Any) -> Any:
    operation.create().cmpext(CONTENT[:4])
    return operation


def _registered(stage: RowStage) -> rados.Rados:
    cluster = stage.connected()
    cluster.service_daemon_register("rows", stage.name(), {})
    return cluster


def _with_snapshot(stage: RowStage) -> rados.Ioctx:
    with contextlib.suppress(rados.ObjectExists):
        stage.snapshots().create_snap("going")
    return stage.snapshots()


Make = Callable[[RowStage], Any]

#: The usual value for a parameter of each name.
USUAL: Dict[str, Make] = {
    "key": lambda _: "object",
    "oid": lambda _: "object",
    "obj": lambda _: "object",
    "object_name": lambda _: "object",
    "name": lambda _: "name",
    "xattr_name": lambda _: "name",
    "xattr_value": lambda _: b"value",
    "data": lambda _: CONTENT,
    "to_write": lambda _: CONTENT,
    "to_append": lambda _: CONTENT,
    "string_to_write": lambda _: CONTENT,
    "cmp_buf": lambda _: CONTENT[:4],
    "buffer": lambda _: bytearray(512),
    "length": lambda _: 512,
    "offset": lambda _: 0,
    "position": lambda _: 0,
    "size": lambda _: 512,
    "write_len": lambda _: len(CONTENT),
    "cls": lambda _: "hello",
    "method": lambda _: "say_hello",
    "cookie": lambda _: "cookie",
    "tag": lambda _: "tag",
    "write_op": lambda stage: stage.writing(),
    "read_op": lambda stage: stage.reading(),
    "keys": lambda _: ["a"],
    "values": lambda _: [b"1"],
    "entries": lambda _: {"a": b"1"},
    "val": lambda _: b"1",
    "key_begin": lambda _: "a",
    "key_end": lambda _: "c",
    "start_after": lambda _: "",
    "filter_prefix": lambda _: "",
    "max_return": lambda _: -1,
    "version": lambda stage: stage.ioctx.get_last_version(),
    "snap_name": lambda _: "snap",
    "app_name": lambda _: "rbd",
    "value": lambda _: "value",
    "callback": lambda _: ignore,
    "oncomplete": lambda _: ignore,
    "level": lambda _: "warn",
    "arg": lambda _: None,
    "cmd": lambda _: '{"prefix": "fsid"}',
    "ioctx": lambda stage: stage.ioctx,
    "rados": lambda stage: stage.cluster,
    "cluster": lambda stage: stage.cluster,
    "ioctx_name": lambda stage: stage.where[1],
    "pool_name": lambda stage: stage.where[1],
    "pool_id": lambda stage: stage.ioctx.get_pool_id(),
    "mon_id": lambda _: "a",
    "option": lambda _: "rbd_default_order",
    "client_address": lambda _: "127.0.0.1:1/1",
    "service": lambda _: "rows",
    "daemon": lambda stage: stage.name(),
    "metadata": lambda _: {},
    "status": lambda _: {},
    "nspace": lambda stage: stage.namespace,
    "loc_key": lambda _: "",
    "snap_id": lambda _: rados.LIBRADOS_SNAP_HEAD,
    "snaps": lambda _: [],
    "osdid": lambda _: 0,
    "pgid": lambda stage: f"{stage.ioctx.get_pool_id()}.0",
}

#: The arguments of these rows that are not the usual ones.
OTHER_ARGUMENTS: Dict[str, Dict[str, Make]] = {
    "Ioctx()": {"name": lambda stage: stage.where[1]},
    **{
        f"{name}.execute": {"data": lambda _: b"you"} for name in ("Ioctx", "WriteOp", "WriteOpCtx")
    },
    "Ioctx.aio_execute": {"data": lambda _: b"you"},
    "Ioctx.aio_remove": {"object_name": lambda stage: stage.extra("extra")},
    "Ioctx.application_enable": {"app_name": lambda _: "rows", "force": lambda _: True},
    "Ioctx.application_metadata_get": {"key": lambda stage: _application(stage)},
    "Ioctx.break_lock": {"client": lambda stage: f"client.{stage.cluster.get_instance_id()}"},
    "Ioctx.create_snap": {"snap_name": lambda stage: stage.name()},
    "Ioctx.release_read_op": {"read_op": lambda _: rados.ReadOp().create()},
    # Without a file in the default places, librados of Ceph 14 raises an error.
    "Rados.conf_read_file": {"path": lambda stage: stage.where[0]},
    "Ioctx.release_write_op": {"write_op": lambda _: rados.WriteOp().create()},
    "Ioctx.remove_object": {"key": lambda stage: stage.extra("extra")},
    "Ioctx.remove_self_managed_snap": {"snap_id": lambda stage: stage.own_snapshots()[1]},
    "Ioctx.remove_snap": {"snap_name": lambda _: "going"},
    "Ioctx.rollback_self_managed_snap": {"snap_id": lambda stage: stage.own_snapshots()[1]},
    "Ioctx.clear_omap": {"write_op": lambda stage: stage.writing()},
    "Rados.conf_parse_argv": {"args": lambda _: ["--rbd_default_order=22"]},
    "Rados.conf_set": {"val": lambda _: "22"},
    "AsyncRados.conf_set": {"val": lambda _: "22"},
    "Rados.create_pool": {"pool_name": lambda stage: stage.name()},
    "AsyncRados.create_pool": {"pool_name": lambda stage: stage.name()},
    "Rados.delete_pool": {"pool_name": lambda stage: _pool(stage)},
    "AsyncRados.delete_pool": {"pool_name": lambda stage: _pool(stage)},
    # There is no manager, for which the call would wait.
    "Rados.mgr_command": {"timeout": lambda _: 1},
    "Rados.osd_command": {"cmd": lambda _: '{"prefix": "version"}'},
    "Rados.pg_command": {"cmd": lambda _: '{"prefix": "query"}'},
    "Rados()": {"conffile": lambda stage: str(stage.where[0])},
    "SnapIterator()": {"ioctx": lambda stage: stage.snapshots()},
    "Snap()": {"snap_id": lambda _: 1},
    "AsyncIoctx.remove": {"key": lambda stage: stage.extra("extra")},
    "AsyncIoctx.get_omap": {"max_return": lambda _: None},
    "Ioctx.get_omap_vals_by_keys": {"read_op": lambda _: rados.ReadOp().create()},
}


def _application(stage: RowStage) -> str:
    stage.ioctx.application_metadata_set("rbd", "key", "value")
    return "key"


def _pool(stage: RowStage) -> str:
    name = stage.name()
    stage.cluster.create_pool(name)
    return name


class Row(NamedTuple):
    """A method, or a class to construct, and how to call it."""

    name: str
    cls: type
    method: str  # "" for the class itself

    @property
    def asynchronous(self) -> bool:
        return self.cls.__name__.startswith("Async")

    def function(self, stage: RowStage) -> Callable[..., Any]:
        """Return the method of a new subject."""
        if not self.method:
            return self.cls
        make = OTHER_SUBJECTS.get(self.name, SUBJECTS[self.cls.__name__])
        return getattr(make(stage), self.method)  # type: ignore[no-any-return]

    def names(self) -> List[str]:
        """Return the parameters."""
        function = getattr(self.cls, self.method) if self.method else self.cls
        if self.method.startswith("__"):
            return []
        return [one.name for one in parameters(function) or []]

    def arguments(self, stage: RowStage) -> Dict[str, Any]:
        """Return a value for each parameter without a default, and for those that are named."""
        function = getattr(self.cls, self.method) if self.method else self.cls
        found = {} if self.method.startswith("__") else OTHER_ARGUMENTS.get(self.name, {})
        wanted = [] if self.method.startswith("__") else parameters(function) or []
        for one in wanted:
            if one.default is one.empty and one.name not in found:
                found = {**found, one.name: USUAL[one.name]}
        return {name: make(stage) for name, make in found.items()}

    def prepared(self, stage: RowStage) -> Callable[[], Any]:
        """Prepare the call. Return a function that calls, and uses the result completely."""
        function, arguments = self.function(stage), self.arguments(stage)
        if self.method == "__exit__":
            return lambda: function(None, None, None)
        if self.name == "Rados.require_state":
            return lambda: function("configuring")
        return lambda: call_and_exhaust(stage, function, arguments)


def call_and_exhaust(
    stage: RowStage, function: Callable[..., Any], arguments: Dict[str, Any]
) -> Any:
    """Call, and use the result completely."""
    if inspect.iscoroutinefunction(function):

        async def run() -> Any:
            return await function(**arguments)

        return stage.loop.run_until_complete(run())
    result = function(**arguments)
    if hasattr(type(result), "__await__"):

        async def opened() -> Any:
            return await result

        result = stage.loop.run_until_complete(opened())
    if isinstance(result, rados.Completion):
        result.wait_for_complete_and_cb()
        return result.get_return_value()
    if isinstance(result, rados.Watch):
        result.close()
    elif isinstance(result, (rados.ObjectIterator, rados.XattrIterator, rados.SnapIterator)):
        return list(itertools.islice(result, 20))
    return result


def classes() -> Iterator[Tuple[str, type]]:
    """Return the public classes of rbd.rados except exceptions, and their forms in rbd.aio."""
    for name in sorted(rados.__all__):
        value = getattr(rados, name)
        if isinstance(value, type) and not issubclass(value, BaseException):
            yield name, value
    yield "AsyncIoctx", rbd.aio.AsyncIoctx
    yield "AsyncRados", rbd.aio.AsyncRados


def looks_absent(cls: type, method: str) -> bool:
    """Return whether the loaded librados has none of the functions that the docstring names."""
    _, _, claims = (inspect.getdoc(getattr(cls, method)) or "").partition("Implements:")
    functions = re.findall(r"\brados_\w+", claims)
    return bool(functions) and not any(rbd.supports(one) for one in functions)


def rows() -> List[Row]:
    """Return all rows, except those that look absent with the loaded library."""
    found: List[Row] = []
    for name, cls in classes():
        if name in NO_ROWS:
            continue
        if name not in NOT_CONSTRUCTED:
            found.append(Row(f"{name}()", cls, ""))
        for method in sorted(dir(cls)):
            public = not method.startswith("_") or method in SPECIAL
            if public and callable(getattr(cls, method)) and not looks_absent(cls, method):
                found.append(Row(f"{name}.{method}", cls, method))
    return found


def called() -> List[Row]:
    """Return the rows whose calls may reach the cluster."""
    return [row for row in rows() if row.name not in NOT_CALLED]


def without_row() -> List[str]:
    """Return the methods without a subject or an argument in the tables above."""
    lacking: List[str] = []
    for name, _ in classes():
        if name not in NO_ROWS and name not in SUBJECTS:
            lacking.append(name)
    for row in rows():
        function = getattr(row.cls, row.method) if row.method else row.cls
        special = row.method.startswith("__")
        for one in [] if special else parameters(function) or []:
            known = one.name in OTHER_ARGUMENTS.get(row.name, {}) or one.name in USUAL
            if one.default is one.empty and not known:
                lacking.append(f"{row.name}: {one.name}")
    return lacking


def outdated() -> List[str]:
    """Return the entries of the tables for which there is no method."""
    names = {row.name for row in rows()}
    return sorted({*OTHER_SUBJECTS, *OTHER_ARGUMENTS, *NOT_CALLED} - names)
