"""A real Ceph cluster on one machine, for the duration of a test."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

from . import config, programs
from .cluster import Cluster
from .control import Control
from .daemons import Daemons
from .errors import ClusterError, DaemonDied
from .ports import LOOPBACK, PortReservation, listens, taken

_SHARED_MEMORY = Path("/dev/shm")
# The size that a monitor's store may reach, with a margin. The default in a container is 64 MiB.
_SHARED_MEMORY_BYTES = 1 << 30
_PORT_ATTEMPTS = 3
_OBJECTSTORES = ("memstore", "bluestore")


def _temporary_directory(objectstore: str) -> Path:
    """Make a private directory, in memory if the data is in memory too and there is room.

    A monitor syncs its store for each change, which can take seconds on a busy disk.
    """
    parent = None
    if objectstore == "memstore":
        with contextlib.suppress(OSError):
            space = os.statvfs(_SHARED_MEMORY)
            if space.f_bavail * space.f_frsize >= _SHARED_MEMORY_BYTES and os.access(
                _SHARED_MEMORY, os.W_OK | os.X_OK
            ):
                parent = str(_SHARED_MEMORY)
    return Path(tempfile.mkdtemp(prefix="rbd-testing-", dir=parent))


def _given_directory(directory: str | os.PathLike[str]) -> Path:
    path = Path(os.path.abspath(directory))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise FileExistsError(f"a local cluster needs a new or an empty directory: {path}")
    path.chmod(0o700)
    return path


class LocalCluster(Cluster):
    """A real Ceph cluster on 127.0.0.1, which runs when the constructor returns.

    It has one monitor, OSDs and, if asked for, a manager, all with cephx, from the daemons that
    are installed on this machine. It ends with `stop`, with the ``with`` block, or with this
    process, whatever ends it, because a separate process watches over the daemons. A child made
    by fork() may connect, but the cluster belongs to the parent.

    Parameters
    ----------
    directory
        Where the cluster keeps everything: a new or empty directory, which stays. None means a
        temporary one, which is removed at the end.
    osds
        The number of OSDs. With one there is one copy of the data, else two.
    mgr
        Whether to run a manager.
    objectstore
        "memstore" keeps everything in memory, which is fast, and lost when an OSD is killed.
        "bluestore" keeps it in a sparse file of 16 GiB for each OSD, which survives a kill.
    pools
        The pools to create and to prepare for images.
    conf
        More options for the section ``[global]`` of the configuration file.
    timeout
        How many seconds the start may take.

    Raises
    ------
    MissingDaemon
        A daemon is not installed; the text says what to install.
    DaemonDied
        A daemon ended by itself; the text has the end of its log.
    ClusterTimeout
        The cluster did not start in time.
    ValueError
        An argument makes no sense.
    FileExistsError
        `directory` is not empty.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        osds: int = 1,
        mgr: bool = False,
        objectstore: Literal["memstore", "bluestore"] = "memstore",
        pools: Sequence[str] = ("rbd",),
        conf: Mapping[str, config.Value] | None = None,
        timeout: float = 120.0,
    ) -> None:
        if osds < 1:
            raise ValueError(f"a cluster needs at least one OSD, not {osds}")
        if objectstore not in _OBJECTSTORES:
            raise ValueError(f"objectstore must be one of {_OBJECTSTORES}, not {objectstore!r}")
        if isinstance(pools, str):
            raise TypeError("pools must be a sequence of names, not one string")
        extra = config.extra_options(conf or {})
        names = [
            "ceph-mon",
            "ceph-osd",
            "monmaptool",
            "ceph-authtool",
            *(["ceph-mgr"] if mgr else []),
        ]
        self._programs = {name: programs.find(name) for name in names}

        remove: list[Path] = []
        if directory is None:
            path = _temporary_directory(objectstore)
            remove.append(path)
        else:
            path = _given_directory(directory)
        super().__init__(path / "ceph.conf", ())
        self._directory = path
        self._osds = osds
        self._fsid = str(uuid.uuid4())
        try:
            config.check_directory(path)
            (path / "log").mkdir()
            (path / "crash").mkdir()
            self._run_directory = path
            if not config.sockets_fit(path):
                # Without its admin socket, a daemon does not answer all requests.
                self._run_directory = Path(tempfile.mkdtemp(prefix="rbd-testing-", dir="/tmp"))
                remove.append(self._run_directory)
            self._daemons = Daemons(path / "log", remove)
        except BaseException:
            for leftover in remove:
                shutil.rmtree(leftover, ignore_errors=True)
            raise
        # Also at interpreter exit, if nobody has called stop().
        self._finalizer = weakref.finalize(self, self._daemons.close)
        try:
            self._start(objectstore, mgr, list(pools), extra, timeout)
        except BaseException:
            self.stop()
            raise

    # Properties

    @property
    def directory(self) -> Path:
        """The directory with the configuration, the keys, the daemons' data and their logs."""
        return self._directory

    @property
    def fsid(self) -> str:
        """The cluster's unique id."""
        return self._fsid

    @property
    def osds(self) -> int:
        """The number of OSDs; their ids count from 0."""
        return self._osds

    def __repr__(self) -> str:
        state = "running" if self._finalizer.alive else "stopped"
        return f"<LocalCluster {self._directory} osds={self._osds} {state}>"

    # Starting

    def _start(
        self,
        objectstore: str,
        mgr: bool,
        pools: list[str],
        extra: Mapping[str, str],
        timeout: float,
    ) -> None:
        deadline = time.monotonic() + timeout
        self._write_keys(mgr)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            v2, v1 = PortReservation(), PortReservation()
            try:
                mon_host = f"[v2:{LOOPBACK}:{v2.port},v1:{LOOPBACK}:{v1.port}]"
                text = config.render(
                    config.sections(
                        self._directory,
                        self._run_directory,
                        fsid=self._fsid,
                        mon_host=mon_host,
                        osds=self._osds,
                        objectstore=objectstore,
                        extra=extra,
                    )
                )
                Path(self.conffile).write_text(text, encoding="utf-8")
                if attempt == 1:
                    for number in range(self._osds):
                        self._format_osd(number)
                self._start_mon(mon_host, v2.port, deadline)
                break
            except DaemonDied:
                v2.release()
                v1.release()
                # Only a process that does not reserve its ports can have taken it meanwhile.
                if attempt == _PORT_ATTEMPTS or not (taken(v2.port) or taken(v1.port)):
                    raise
                shutil.rmtree(self._directory / "mon.a")
            finally:
                v2.release()
                v1.release()
        with self._control(deadline - time.monotonic()) as control:
            for number in range(self._osds):
                self._finish(f"osd.{number}-mkfs", deadline)
                self._run_osd(number)
            if mgr:
                argv = [self._programs["ceph-mgr"], "--foreground", "--id", "x"]
                self._daemons.start("mgr.x", [*argv, "--conf", self.conffile])
            control.connect()
            for pool in pools:
                control.create_pool(pool, 8, None)
            control.wait_up(dict.fromkeys(range(self._osds), 0))
            control.wait_clean()
            for pool in pools:
                control.enable_application(pool, "rbd")
            if mgr:
                control.wait_manager()
        self._pools += pools

    def _write_keys(self, mgr: bool) -> None:
        sample = programs.run("ceph-authtool", ["--gen-print-key"], os.devnull, 30.0)
        keys = config.KeyMaker(sample)
        admin = keys.new()
        everything: Mapping[str, str] = dict.fromkeys(("mon", "osd", "mgr", "mds"), "allow *")
        entries: dict[str, tuple[str, Mapping[str, str]]] = {
            "mon.": (keys.new(), {"mon": "allow *"}),
            "client.admin": (admin, everything),
        }
        own: dict[str, Mapping[str, str]] = {
            f"osd.{number}": {
                "mon": "allow profile osd",
                "mgr": "allow profile osd",
                "osd": "allow *",
            }
            for number in range(self._osds)
        }
        if mgr:
            own["mgr.x"] = {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"}
        for entity, caps in own.items():
            key = keys.new()
            entries[entity] = (key, caps)
            data = self._directory / entity
            data.mkdir(mode=0o700)
            config.write_private(data / "keyring", config.keyring({entity: (key, {})}))
        config.write_private(self._directory / "mon.keyring", config.keyring(entries))
        config.write_private(
            self._directory / "keyring", config.keyring({"client.admin": (admin, everything)})
        )

    def _finish(self, job: str, deadline: float) -> None:
        """Wait for a short-lived job that must succeed."""
        status = self._daemons.wait(job, max(0.0, deadline - time.monotonic()))
        if status != 0:
            raise self._daemons.died(job, status)

    def _start_mon(self, mon_host: str, port: int, deadline: float) -> None:
        monmap, data = str(self._directory / "monmap"), self._directory / "mon.a"
        data.mkdir(mode=0o700)
        argv = [self._programs["monmaptool"], "--create", "--clobber", "--fsid", self._fsid]
        self._daemons.start("monmap", [*argv, "--addv", "a", mon_host, monmap], job=True)
        self._finish("monmap", deadline)
        mon = [self._programs["ceph-mon"], "--id", "a", "--conf", self.conffile]
        keys = str(self._directory / "mon.keyring")
        argv = [*mon, "--mkfs", "--monmap", monmap, "--keyring", keys]
        self._daemons.start("mon.a-mkfs", argv, job=True)
        self._finish("mon.a-mkfs", deadline)
        pid = self._daemons.start("mon.a", [*mon, "--foreground"])
        while not listens(pid, port):
            self._daemons.check()
            if time.monotonic() > deadline:
                raise ClusterError("the monitor does not listen:\n" + self._daemons.tail("mon.a"))
            time.sleep(0.005)

    def _osd_command(self, number: int) -> list[str]:
        return [self._programs["ceph-osd"], "--id", str(number), "--conf", self.conffile]

    def _format_osd(self, number: int) -> None:
        argv = [*self._osd_command(number), "--mkfs", "--no-mon-config"]
        argv += ["--osd-uuid", str(uuid.uuid4())]
        self._daemons.start(f"osd.{number}-mkfs", argv, job=True)

    def _run_osd(self, number: int) -> None:
        self._daemons.start(f"osd.{number}", [*self._osd_command(number), "--foreground"])

    def _control(self, timeout: float) -> Control:
        errors = self._directory / "log" / "control.out"
        return Control(self.conffile, errors, timeout, self._daemons.check)

    # Using

    def create_pool(
        self,
        name: str,
        *,
        pg_num: int = 8,
        size: int | None = None,
        application: str = "rbd",
        timeout: float = 60.0,
    ) -> None:
        """Create a pool, and wait until it can be used.

        Parameters
        ----------
        name
            The name of the pool.
        pg_num
            The number of placement groups.
        size
            The number of copies; None means one on a single OSD, otherwise two.
        application
            The application of the pool. With ``rbd``, it is prepared for images.
        timeout
            The number of seconds to wait.

        Raises
        ------
        ClusterTimeout
            The pool cannot be used in time.
        """
        with self._control(timeout) as control:
            control.connect()
            control.create_pool(name, pg_num, size)
            control.wait_clean({name})
            control.enable_application(name, application)
        self._pools.append(name)

    def wait_clean(self, timeout: float = 60.0) -> None:
        """Wait until each running OSD is up and all data has as many copies as wanted.

        Parameters
        ----------
        timeout
            The number of seconds to wait.

        Raises
        ------
        ClusterTimeout
            The time has passed. The message says what is missing.
        """
        with self._control(timeout) as control:
            control.connect()
            running = [n for n in range(self._osds) if self._daemons.running(f"osd.{n}")]
            control.wait_up(dict.fromkeys(running, 0))
            control.wait_clean()

    # Faults

    def _osd_name(self, osd: int) -> str:
        if not 0 <= osd < self._osds:
            raise ValueError(f"there is no osd.{osd}; the cluster has {self._osds}")
        return f"osd.{osd}"

    def kill_osd(self, osd: int) -> None:
        """Kill an OSD (SIGKILL), as a power failure would. The data that it has in memory is lost.

        Parameters
        ----------
        osd
            The number of the OSD.

        Raises
        ------
        ValueError
            There is no such OSD.
        """
        self._daemons.end(self._osd_name(osd), signal.SIGKILL, 30.0)

    def stop_osd(self, osd: int, timeout: float = 60.0) -> None:
        """Shut an OSD down (SIGTERM). Its data survives, also that of memstore.

        Parameters
        ----------
        osd
            The number of the OSD.
        timeout
            The number of seconds to wait.

        Raises
        ------
        ValueError
            There is no such OSD.
        ClusterError
            The OSD did not end as it should.
        """
        name = self._osd_name(osd)
        status = self._daemons.end(name, signal.SIGTERM, timeout)
        if status not in (0, -signal.SIGTERM):
            raise self._daemons.died(name, status)

    def start_osd(self, osd: int, timeout: float = 60.0) -> None:
        """Start an OSD that was killed or stopped, and wait until the monitor says that it is up.

        Parameters
        ----------
        osd
            The number of the OSD. Nothing is done if it runs.
        timeout
            The number of seconds to wait.

        Raises
        ------
        ValueError
            There is no such OSD.
        ClusterTimeout
            The OSD is not up in time.
        """
        if self._daemons.running(self._osd_name(osd)):
            return
        with self._control(timeout) as control:
            control.connect()
            # The monitor may still believe that the former process runs.
            before = control.osds()[osd]["up_from"]
            self._run_osd(osd)
            control.wait_up({osd: before})

    def pause_osd(self, osd: int) -> None:
        """Freeze an OSD (SIGSTOP). Its clients get no answer until `resume_osd`.

        Parameters
        ----------
        osd
            The number of the OSD.

        Raises
        ------
        ValueError
            There is no such OSD.
        """
        self._daemons.send(self._osd_name(osd), signal.SIGSTOP)

    def resume_osd(self, osd: int) -> None:
        """Let a frozen OSD go on (SIGCONT).

        Parameters
        ----------
        osd
            The number of the OSD.

        Raises
        ------
        ValueError
            There is no such OSD.
        """
        self._daemons.send(self._osd_name(osd), signal.SIGCONT)

    def pause_mon(self) -> None:
        """Freeze the monitor (SIGSTOP). It accepts connections, but does not answer."""
        self._daemons.send("mon.a", signal.SIGSTOP)

    def resume_mon(self) -> None:
        """Let a frozen monitor go on (SIGCONT)."""
        self._daemons.send("mon.a", signal.SIGCONT)

    # Ending

    def stop(self) -> None:
        """Kill all daemons, and remove a temporary directory. Stopping twice does nothing."""
        self._finalizer()

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
