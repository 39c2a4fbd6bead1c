"""rbd.testing: the features of a local cluster, its faults, its place and its end."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

import rbd
from rbd.testing import (
    ClusterError,
    ClusterTimeout,
    CommandError,
    LocalCluster,
    local,
)
from rbd.testing.ports import LOOPBACK, PortReservation
from support.daemons import eventually, gone, processes


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Features


def test_tools_find_the_cluster_by_ceph_conf(cluster: LocalCluster) -> None:
    cluster.rbd("create", "--size", "8M", "by-tool")
    listed = subprocess.run(
        ["rbd", "ls"], env=cluster.env, check=True, capture_output=True, text=True
    )
    assert "by-tool" in listed.stdout.split()
    assert cluster.env["CEPH_CONF"] == cluster.conffile
    cluster.rbd("rm", "--no-progress", "by-tool")


def test_connect_returns_a_connection(cluster: LocalCluster) -> None:
    with cluster.connect(timeout=30) as rados, rados.open_ioctx("rbd") as ioctx:
        assert rados.get_fsid() == cluster.fsid
        rbd.RBD().create(ioctx, "by-library", 1 << 20)
        assert "by-library" in cluster.rbd("ls").split()
        rbd.RBD().remove(ioctx, "by-library")


def test_command_runs_the_ceph_tool(cluster: LocalCluster) -> None:
    assert json.loads(cluster.command("osd", "dump", "--format", "json"))["fsid"] == cluster.fsid
    with pytest.raises(CommandError, match="no-such-pool") as caught:
        cluster.command("osd", "pool", "get", "no-such-pool", "size")
    assert caught.value.returncode == 2
    assert "no-such-pool" in caught.value.stderr


def test_a_cluster_is_healthy_without_a_manager(cluster: LocalCluster) -> None:
    assert cluster.command("health").strip() == "HEALTH_OK"


def test_cephx_refuses_a_wrong_key(cluster: LocalCluster, tmp_path: Path) -> None:
    other = tmp_path / "keyring"
    own = (cluster.directory / "keyring").read_text()
    key = next(word for word in own.split() if len(word) > 30)
    # The last character may hold padding bits only, so change one before it.
    wrong = key[:30] + ("A" if key[30] != "A" else "B") + key[31:]
    other.write_text(own)
    assert cluster.rbd("--keyring", str(other), "ls") == cluster.rbd("ls")
    other.write_text(own.replace(key, wrong))
    with pytest.raises(CommandError):
        cluster.rbd("--keyring", str(other), "ls")


def test_secrets_are_readable_only_by_the_owner(cluster: LocalCluster) -> None:
    assert mode(cluster.directory) == 0o700
    keyrings = list(cluster.directory.rglob("*keyring"))
    assert {str(path.relative_to(cluster.directory)) for path in keyrings} == {
        "keyring",
        "mon.keyring",
        "mon.a/keyring",
        "osd.0/keyring",
    }
    assert {mode(path) for path in keyrings} == {0o600}


def test_daemons_listen_on_loopback_only(cluster: LocalCluster) -> None:
    sockets = set()
    for pid in processes(cluster.directory):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(descriptor)
            if target.startswith("socket:["):
                sockets.add(target[len("socket:[") : -1])
    addresses = []
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:  # 0A: LISTEN
                addresses.append(fields[1].split(":")[0])
    assert len(addresses) >= 3
    assert set(addresses) == {f"{socket.htonl(0x7F000001):08X}"}


def test_daemons_write_below_the_directory_only(cluster: LocalCluster) -> None:
    cluster.rbd("ls")
    written = set()
    for pid in processes(cluster.directory, "ceph-"):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            flags = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split()[3]
            path = Path(os.readlink(descriptor))
            if int(flags, 8) & os.O_ACCMODE and path.is_file():
                written.add(path)
    assert {path.relative_to(cluster.directory).parts[0] for path in written} <= {
        "log",
        "mon.a",
        "osd.0",
    }
    logs = {path.name for path in (cluster.directory / "log").glob("*.log")}
    assert logs == {"mon.a.log", "osd.0.log", "cluster.log", "client.admin.log"}


def test_create_pool_makes_usable_pools(cluster: LocalCluster) -> None:
    cluster.create_pool("images", pg_num=4)
    cluster.create_pool("objects", application="rgw")
    assert cluster.pools == ("rbd", "images", "objects")
    pools = json.loads(cluster.command("osd", "pool", "ls", "detail", "--format", "json"))
    by_name = {pool["pool_name"]: pool for pool in pools}
    assert by_name["images"]["pg_num"] == 4
    assert by_name["images"]["size"] == 1
    assert list(by_name["images"]["application_metadata"]) == ["rbd"]
    assert list(by_name["objects"]["application_metadata"]) == ["rgw"]
    cluster.rbd("create", "--size", "1M", "images/x")
    assert cluster.rbd("ls", "images").split() == ["x"]
    with pytest.raises(ClusterError):
        cluster.create_pool("")


def test_a_resumed_monitor_answers_again(cluster: LocalCluster) -> None:
    cluster.pause_mon()
    try:
        with pytest.raises(ClusterTimeout):
            cluster.command("osd", "dump", timeout=2)
        with pytest.raises(ClusterTimeout):
            cluster.wait_clean(timeout=1)
    finally:
        cluster.resume_mon()
    cluster.wait_clean()


def test_options_reach_daemons_and_clients(tmp_path: Path) -> None:
    options = {"rbd default order": 20, "mon-allow-pool-delete": False}
    with LocalCluster(tmp_path / "new", pools=("a", "b"), conf=options) as cluster:
        cluster.rbd("create", "--size", "8M", "a/x")
        assert json.loads(cluster.rbd("info", "--format", "json", "a/x"))["order"] == 20
        with pytest.raises(CommandError, match="mon_allow_pool_delete"):
            cluster.command("osd", "pool", "delete", "b", "b", "--yes-i-really-really-mean-it")


@pytest.mark.skipif(shutil.which("ceph-mgr") is None, reason="there is no ceph-mgr")
def test_a_manager_can_run() -> None:
    with LocalCluster(mgr=True) as cluster:
        assert json.loads(cluster.command("mgr", "dump", "--format", "json"))["available"]
        # Only a manager can answer this.
        assert cluster.command("pg", "stat", timeout=30)


def test_several_clusters_run_side_by_side(cluster: LocalCluster) -> None:
    command = [sys.executable, "-m", "rbd.testing", "--", "rbd", "create", "--size", "1M", "x"]
    others = [subprocess.Popen(command) for _ in range(2)]
    with LocalCluster() as second:
        second.rbd("create", "--size", "1M", "second")
        assert second.fsid != cluster.fsid
        assert second.rbd("ls").split() == ["second"]
        assert "second" not in cluster.rbd("ls").split()
    assert [process.wait(timeout=90) for process in others] == [0, 0]
    assert cluster.rbd("ls") is not None


# Faults


def test_bluestore_survives_a_kill() -> None:
    with LocalCluster(objectstore="bluestore") as cluster:
        cluster.rbd("create", "--size", "1M", "kept")
        cluster.kill_osd(0)
        cluster.start_osd(0)
        cluster.wait_clean()
        assert cluster.rbd("ls").split() == ["kept"]


def test_memstore_survives_a_clean_stop() -> None:
    with LocalCluster() as cluster:
        cluster.rbd("create", "--size", "1M", "kept")
        cluster.stop_osd(0)
        with pytest.raises(ClusterTimeout):
            cluster.rbd("ls", timeout=1)
        cluster.start_osd(0)
        cluster.start_osd(0)  # it runs, so there is nothing to do
        assert cluster.rbd("ls").split() == ["kept"]


def used(cluster: LocalCluster) -> int:
    """Return the bytes that the OSD counts. The maps of the cluster take some of them."""
    socket = next(Path(cluster.directory).glob("**/osd.0.asok"))
    told = subprocess.run(
        ["ceph", "--admin-daemon", str(socket), "perf", "dump"],
        env=cluster.env,
        check=True,
        capture_output=True,
    )
    count: int = json.loads(told.stdout)["osd"]["stat_bytes_used"]
    return count


def test_memstore_counts_concurrent_writes() -> None:
    """An OSD that counts too little is full once it is empty: below 0 is a large number."""
    count, size = 10_000, 1 << 16
    with LocalCluster() as cluster, cluster.connect() as rados, rados.open_ioctx("rbd") as ioctx:
        assert eventually(lambda: used(cluster) > 0)
        for submit in (lambda name: ioctx.aio_write_full(name, bytes(size)), ioctx.aio_remove):
            pending = [submit(f"object-{number}") for number in range(count)]
            for completion in pending:
                completion.wait_for_complete()
                assert completion.get_return_value() == 0
        assert eventually(lambda: 0 < used(cluster) < size), used(cluster)


def test_the_second_copy_serves_while_an_osd_is_dead() -> None:
    with LocalCluster(osds=2) as cluster:
        cluster.rbd("create", "--size", "1M", "before")
        cluster.kill_osd(1)
        cluster.rbd("create", "--size", "1M", "meanwhile")
        cluster.start_osd(1)
        cluster.wait_clean()
        cluster.kill_osd(0)
        assert sorted(cluster.rbd("ls").split()) == ["before", "meanwhile"]
        with pytest.raises(ValueError, match=r"osd\.2"):
            cluster.kill_osd(2)


# Place and end


def test_a_given_directory_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 25)
    directory.mkdir(mode=0o755)
    with LocalCluster(directory) as cluster:
        assert cluster.directory == directory
        assert mode(directory) == 0o700
        assert cluster.rbd("ls") == ""
    assert (directory / "ceph.conf").exists()
    assert processes(directory) == []


def test_a_reserved_port_is_for_one_daemon_only() -> None:
    reservation = PortReservation()
    address = (LOOPBACK, reservation.port)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(address)
    with socket.socket() as daemon:
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        daemon.bind(address)
        daemon.listen()
        reservation.release()
        socket.create_connection(address).close()


def test_a_taken_port_is_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:

        class Unlucky(PortReservation):
            first = True

            def __init__(self) -> None:
                super().__init__()
                if Unlucky.first:
                    Unlucky.first = False
                    self.port = taken.getsockname()[1]

        monkeypatch.setattr(local, "PortReservation", Unlucky)
        # The process that holds the port accepts connections, so only the monitor's end shows the
        # fault.
        with LocalCluster() as cluster:
            assert cluster.rbd("ls") == ""
        assert not Unlucky.first


def test_import_is_light_and_start_loads_no_ceph_library() -> None:
    script = """
import sys
import rbd.testing
heavy = {"numpy", "asyncio", "pytest", "_pytest", "ctypes"} & sys.modules.keys()
assert not heavy, heavy
with rbd.testing.LocalCluster() as cluster:
    cluster.create_pool("another")
    maps = open("/proc/self/maps").read()
assert "librados" not in maps and "librbd" not in maps
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=90)


def test_stop_leaves_nothing_and_can_be_repeated() -> None:
    cluster = LocalCluster()
    directory = cluster.directory
    cluster.stop()
    cluster.stop()
    assert gone(directory)
    assert "stopped" in repr(cluster)
    with pytest.raises(ClusterError):
        cluster.kill_osd(0)
