"""rbd.testing: the errors of a local cluster that cannot start, or whose daemon dies."""

from __future__ import annotations

import os
import pickle
import re
import signal
from pathlib import Path

import pytest

from rbd.testing import (
    ClusterError,
    ClusterTimeout,
    CommandError,
    DaemonDied,
    LocalCluster,
    MissingDaemon,
    programs,
)
from support.daemons import processes

NEEDED = ("ceph-mon", "ceph-osd", "monmaptool", "ceph-authtool")


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_daemon_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NEEDED:
        if name != missing:
            (tmp_path / name).symlink_to(programs.find(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDaemon, match=f"{missing} was not found.*install") as caught:
        LocalCluster(tmp_path / "cluster")
    assert caught.value.executable == missing
    assert not (tmp_path / "cluster").exists()


@pytest.mark.parametrize(
    ("identity", "command"),
    [
        ("ID=debian", "apt-get install ceph-mon ceph-osd ceph-common librbd1"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"', "apt-get install"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "dnf install"),
        ('ID="opensuse-leap"', "zypper install"),
        ("ID=unheard-of", "apt-get install.*dnf install.*zypper install"),
    ],
)
def test_install_hint_fits_the_distribution(identity: str, command: str, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text(f"NAME=x\n{identity}\n")
    hint = programs.install_hint("ceph-osd", str(release))
    assert re.search(command, hint)
    assert "ceph-mgr" in programs.install_hint("ceph-mgr", str(release))


def impostor(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("daemon", ["ceph-mon", "ceph-osd"])
def test_the_error_of_a_dead_daemon_contains_its_log(
    daemon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = programs.find(daemon)
    script = f'case "$*" in *--mkfs*) exec {real} "$@";; esac; echo all is lost >&2; exit 3'
    impostor(tmp_path, daemon, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DaemonDied, match="all is lost") as caught:
        LocalCluster(tmp_path / "cluster")
    assert caught.value.daemon == {"ceph-mon": "mon.a", "ceph-osd": "osd.0"}[daemon]
    assert caught.value.status == 3
    assert processes(tmp_path / "cluster") == []


@pytest.mark.parametrize("daemon", ["ceph-mon", "ceph-osd"])
def test_a_failing_preparation_is_reported(
    daemon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor(tmp_path, daemon, "echo there is no room >&2; kill -TERM $$")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DaemonDied, match=r"mkfs ended with signal 15(.|\n)*no room") as caught:
        LocalCluster(tmp_path / "cluster")
    assert caught.value.status == -signal.SIGTERM


def test_a_cluster_that_does_not_start_times_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = programs.find("ceph-osd")
    impostor(tmp_path, "ceph-osd", f'case "$*" in *--mkfs*) exec {real} "$@";; esac; sleep 1000')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ClusterTimeout, match=r"osd\.0"):
        LocalCluster(tmp_path / "cluster", timeout=5)
    assert processes(tmp_path) == []


def test_arguments_are_checked_first(tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(ValueError, match="at least one OSD"):
        LocalCluster(new, osds=0)
    with pytest.raises(ValueError, match="objectstore"):
        LocalCluster(new, objectstore="filestore")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pools"):
        LocalCluster(new, pools="rbd")
    with pytest.raises(ValueError, match="option"):
        LocalCluster(new, conf={"rbd_cache": "false\n[osd]"})
    with pytest.raises(ValueError, match="option"):
        LocalCluster(new, conf={"[osd]\nx": 1})
    with pytest.raises(ValueError, match="cannot name a directory"):
        LocalCluster(tmp_path / "a # b")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="empty"):
        LocalCluster(tmp_path)
    assert not new.exists()


def test_errors_pickle() -> None:
    errors = [
        MissingDaemon("m", "ceph-osd"),
        DaemonDied("m", "osd.0", -9, "log"),
        CommandError("m", ("ceph", "-s"), 1, "out", "err"),
        ClusterTimeout("m"),
    ]
    for error in errors:
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == "m"
        assert vars(copy) == vars(error)
        assert isinstance(copy, ClusterError)
        # As pickles of tblib do, which other packages install for all exceptions.
        assert str(type(error).__new__(type(error), "m")) == "m"
    assert isinstance(errors[-1], TimeoutError)


def test_a_killed_daemon_is_noticed() -> None:
    with LocalCluster() as cluster:
        (osd,) = processes(cluster.directory, "ceph-osd")
        os.kill(osd, signal.SIGKILL)
        with pytest.raises(DaemonDied, match=r"osd\.0 ended with signal 9"):
            cluster.create_pool("late")
