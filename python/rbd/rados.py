"""RADOS connections and I/O contexts for block device users, under the stock module's names.

`Rados` and `Ioctx` are context managers. An image or context owns a share of its connection, which
ends when the last of them is closed, in whatever order. Every error here is an `rbd.Error` too.
"""

from __future__ import annotations

import builtins
import errno as _errno
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import _core, exceptions
from ._core import Ioctx

TYPE_CHECKING = False  # the type checkers take it for true
if TYPE_CHECKING:
    from .types import ClusterStats

__all__ = [
    "ConnectionShutdown",
    "Error",
    "IOError",
    "InProgress",
    "InterruptedOrTimeoutError",
    "InvalidArgumentError",
    "Ioctx",
    "IoctxStateError",
    "IsConnected",
    "LogicError",
    "NoData",
    "NoSpace",
    "NotConnected",
    "OSError",
    "ObjectBusy",
    "ObjectExists",
    "ObjectNotFound",
    "PermissionDeniedError",
    "PermissionError",
    "Rados",
    "RadosStateError",
    "TimedOut",
    "Version",
]


_errno_to_exception: Dict[int, Any] = {}


class Error(exceptions.Error):
    """Base of the errors of RADOS calls. `errno` is the positive error number, or None."""

    _classes = _errno_to_exception

    def __init__(self, message: str, errno: Optional[int] = None) -> None:
        super().__init__(message, errno=errno)


class OSError(Error):
    """A call into librados failed."""


class PermissionError(OSError, builtins.PermissionError, code=_errno.EPERM):
    """EPERM."""

    _text = "RADOS permission error (%s)"


class PermissionDeniedError(OSError, builtins.PermissionError, code=_errno.EACCES):
    """EACCES: the key or the capabilities were not accepted."""

    _text = "RADOS permission denied (%s)"


class ObjectNotFound(OSError, FileNotFoundError, code=_errno.ENOENT):
    """There is no such pool, option or file (ENOENT)."""

    _text = "RADOS object not found (%s)"


class ObjectExists(OSError, FileExistsError, code=_errno.EEXIST):
    """EEXIST."""

    _text = "RADOS object exists (%s)"


class ObjectBusy(OSError, code=_errno.EBUSY):
    """EBUSY."""

    _text = "RADOS object busy (%s)"


class IOError(OSError, builtins.OSError, code=_errno.EIO):
    """EIO."""

    _text = "RADOS I/O error (%s)"


class NoSpace(OSError, code=_errno.ENOSPC):
    """ENOSPC."""

    _text = "RADOS no space (%s)"


class NoData(OSError, code=_errno.ENODATA):
    """ENODATA."""

    _text = "RADOS no data (%s)"


class InterruptedOrTimeoutError(OSError, InterruptedError, code=_errno.EINTR):
    """EINTR."""

    _text = "RADOS interrupted or timeout (%s)"


class TimedOut(OSError, TimeoutError, code=_errno.ETIMEDOUT):
    """The cluster did not answer in time (ETIMEDOUT)."""

    _text = "RADOS timed out (%s)"


class NotConnected(OSError, ConnectionError, code=_errno.ENOTCONN):
    """ENOTCONN."""

    _text = "RADOS not connected (%s)"


class ConnectionShutdown(OSError, ConnectionError, code=_errno.ESHUTDOWN):
    """The client was shut down or blocklisted (ESHUTDOWN)."""

    _text = "RADOS connection was shutdown (%s)"


class InProgress(Error, code=_errno.EINPROGRESS):
    """EINPROGRESS."""

    _text = "RADOS in progress error (%s)"


class IsConnected(Error, code=_errno.EISCONN):
    """EISCONN."""

    _text = "RADOS is connected error (%s)"


class InvalidArgumentError(Error, code=_errno.EINVAL):
    """EINVAL."""

    _text = "RADOS invalid argument (%s)"


class LogicError(Error):
    """librados answered what it must not."""

    _text = "RADOS logic error (%s)"


class RadosStateError(Error, exceptions.InvalidArgument):
    """The connection is not in the state that the call needs."""

    _text = "RADOS rados state (%s)"


class IoctxStateError(Error, exceptions.InvalidArgument):
    """The context is closed."""

    _text = "RADOS Ioctx state error (%s)"


def _error(message: str, errno: int) -> Error:
    """What the extension makes for a return code of librados."""
    error: Error = _errno_to_exception.get(errno, OSError)(message, errno=errno)
    return error


class Version(NamedTuple):
    """A version of librados."""

    major: int
    minor: int
    extra: int


class Rados:
    """A client of a Ceph cluster.

    rados_id ("admin") or name ("client.admin"): whom to connect as. clustername: what `$cluster` in
    paths stands for. conf: options, set last. conf_defaults: options, set first. conffile: a path
    to read, '' to search as librados does (CEPH_CONF included), None to read none. flags: as in
    rados_create2.
    """

    def __init__(
        self,
        rados_id: Optional[str] = None,
        name: Optional[str] = None,
        clustername: Optional[str] = None,
        conf_defaults: Optional[Mapping[str, str]] = None,
        conffile: Union[str, os.PathLike[str], None] = None,
        conf: Optional[Mapping[str, str]] = None,
        flags: int = 0,
    ) -> None:
        if rados_id is not None and name is not None:
            raise Error("Rados(): can't supply both rados_id and name")
        if name is None:
            name = "client." + ("admin" if rados_id is None else rados_id)
        self._cluster = _core.Cluster(clustername or "", name, flags)
        self._connected = False
        self.rados_id = name.partition(".")[2] if rados_id is None else rados_id
        self.clustername = clustername or "ceph"
        for option, value in (conf_defaults or {}).items():
            self.conf_set(option, value)
        if conffile is not None:
            self.conf_read_file(os.fspath(conffile) or None)
        for option, value in (conf or {}).items():
            self.conf_set(option, value)

    @property
    def state(self) -> str:
        """One of "configuring", "connected" and "shutdown"."""
        if self._cluster.closed:
            return "shutdown"
        return "connected" if self._connected else "configuring"

    def require_state(self, *args: str) -> None:
        """Raises RadosStateError unless the state is one of `args`."""
        if self.state not in args:
            raise RadosStateError(
                f"You cannot perform that operation on a Rados object in state {self.state}."
            )

    def __enter__(self) -> Rados:
        if not self._connected:
            self.connect()
        return self

    def __exit__(self, *args: object) -> None:
        try:
            self.shutdown()
        except exceptions.Error:
            # The body's exception says more than a failed shutdown.
            if not any(args):
                raise

    def __repr__(self) -> str:
        return f"<rbd.rados.Rados client.{self.rados_id} ({self.state})>"

    def conf_read_file(self, path: Union[str, os.PathLike[str], None] = None) -> None:
        """Reads a configuration file; None searches as librados does."""
        self.require_state("configuring", "connected")
        self._cluster.read_config(None if path is None else os.fspath(path))

    def conf_parse_argv(self, args: Sequence[str]) -> List[str]:
        """Takes the options it knows from `args` and gives the others back."""
        self.require_state("configuring", "connected")
        return self._cluster.parse_arguments(args)

    def conf_parse_env(self, var: Optional[str] = "CEPH_ARGS") -> None:
        """Reads options from an environment variable."""
        self.require_state("configuring", "connected")
        self._cluster.parse_environment(var)

    def conf_get(self, option: str) -> Optional[str]:
        """The value of an option, or None where there is no such option."""
        self.require_state("configuring", "connected")
        return self._cluster.get(option)

    def conf_set(self, option: str, val: str) -> None:
        """Sets an option. Raises ObjectNotFound where there is none of that name."""
        self.require_state("configuring", "connected")
        self._cluster.set(option, val)

    def version(self) -> Version:
        """The version of the loaded librados."""
        return Version(*_core.rados_version())

    def connect(self, timeout: float = 0) -> None:
        """Connects; raises TimedOut after `timeout` seconds (0: client_mount_timeout decides)."""
        self.require_state("configuring")
        if timeout < 0:
            raise ValueError("timeout must not be negative")
        usual = self.conf_get("client_mount_timeout")
        if timeout:
            # librados bounds the connection with this option alone, in seconds.
            self.conf_set("client_mount_timeout", str(timeout))
        try:
            self._cluster.connect()
        finally:
            if timeout and usual is not None:
                self.conf_set("client_mount_timeout", usual)
        self._connected = True

    def shutdown(self) -> None:
        """Gives the connection up; it ends once no context or image uses it. Twice is no error."""
        self._cluster.shutdown()

    def get_fsid(self) -> str:
        """The cluster's id."""
        self.require_state("connected")
        return self._cluster.fsid()

    def get_instance_id(self) -> int:
        """The number that names this client to the cluster."""
        self.require_state("connected")
        return self._cluster.instance_id()

    def get_cluster_stats(self) -> ClusterStats:
        """A dict of kb, kb_used, kb_avail (KiB) and num_objects."""
        self.require_state("connected")
        return self._cluster.statistics()

    def get_addrs(self) -> str:
        """The addresses this client is known by, as blocklist_add takes them."""
        self.require_state("connected")
        return self._cluster.addresses()

    def blocklist_add(self, client_address: str, expire_seconds: int = 0) -> None:
        """Fences a client off for `expire_seconds` (0: the cluster's default)."""
        self.require_state("connected")
        self._cluster.blocklist_add(client_address, expire_seconds)

    #: The name that releases before 16 have for it.
    blacklist_add = blocklist_add

    def wait_for_latest_osdmap(self) -> int:
        """Returns 0 once this client has the latest map of the cluster."""
        self.require_state("connected")
        self._cluster.wait_for_latest_osdmap()
        return 0

    def mon_command(
        self,
        cmd: str,
        inbuf: bytes = b"",
        timeout: float = 0,
        target: Union[str, int, None] = None,
    ) -> Tuple[int, bytes, str]:
        """Sends a command (JSON text) to a monitor; gives (return code, output, status).

        timeout is accepted and, as librados offers no bound of its own for a command, left to
        rados_mon_op_timeout. target: the name of one monitor; None for any.
        """
        self.require_state("connected")
        return self._cluster.mon_command(cmd, inbuf, None if target is None else str(target))

    def list_pools(self) -> List[str]:
        """The names of the pools."""
        self.require_state("connected")
        return self._cluster.list_pools()

    def pool_lookup(self, pool_name: str) -> Optional[int]:
        """The id of a pool, or None."""
        self.require_state("connected")
        try:
            return self._cluster.pool_lookup(pool_name)
        except ObjectNotFound:
            return None

    def pool_reverse_lookup(self, pool_id: int) -> Optional[str]:
        """The name of a pool, or None."""
        self.require_state("connected")
        try:
            return self._cluster.pool_reverse_lookup(pool_id)
        except ObjectNotFound:
            return None

    def pool_exists(self, pool_name: str) -> bool:
        """Whether there is a pool of that name."""
        return self.pool_lookup(pool_name) is not None

    def create_pool(
        self, pool_name: str, crush_rule: Optional[int] = None, auid: Optional[int] = None
    ) -> None:
        """Makes a pool. auid is ignored: RADOS has no pool owners any more. Raises ObjectExists."""
        self.require_state("connected")
        self._cluster.create_pool(pool_name, crush_rule)

    def delete_pool(self, pool_name: str) -> None:
        """Deletes a pool and all that is in it, where the monitors allow that."""
        self.require_state("connected")
        self._cluster.delete_pool(pool_name)

    def open_ioctx(self, ioctx_name: str) -> Ioctx:
        """An I/O context of a pool, by its name. Raises ObjectNotFound."""
        self.require_state("connected")
        return self._cluster.open_ioctx(ioctx_name)

    def open_ioctx2(self, pool_id: int) -> Ioctx:
        """An I/O context of a pool, by its id. Raises ObjectNotFound."""
        self.require_state("connected")
        return self._cluster.open_ioctx2(pool_id)
