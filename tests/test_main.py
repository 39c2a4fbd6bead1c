"""`python -m rbd` prints libraries, configuration and cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

import rbd


def run(environment: Dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "rbd", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_cluster_that_answers_is_reported(rbd_cluster: Any) -> None:
    done = run({"CEPH_CONF": str(rbd_cluster.conffile)}, "--connect")
    assert done.returncode == 0, done.stdout + done.stderr
    info = rbd.library_info()
    assert f"{rbd.__version__}, {os.path.dirname(rbd.__file__)}" in done.stdout
    assert f"{'.'.join(map(str, info.version))}, {info.path}" in done.stdout
    assert f"{rbd_cluster.conffile} (CEPH_CONF): found" in done.stdout
    with rbd.connect(rbd_cluster.conffile) as cluster:
        assert f"{cluster.get_fsid()} answered in" in done.stdout
        for pool in cluster.list_pools():
            assert pool in done.stdout


def test_no_key_is_printed(rbd_cluster: Any) -> None:
    with rbd.connect(rbd_cluster.conffile) as cluster:
        keyrings = (cluster.conf_get("keyring") or "").split(",")
    keyring = next(path for path in keyrings if os.path.exists(path))
    key = next(
        line.split("=", 1)[1].strip()
        for line in Path(keyring).read_text().splitlines()
        if line.strip().startswith("key")
    )
    done = run({"CEPH_CONF": str(rbd_cluster.conffile)}, "--connect")
    assert f"{keyring}: found" in done.stdout
    assert key not in done.stdout + done.stderr


def test_without_connecting_the_cluster_is_not_asked(tmp_path: Path) -> None:
    conf = tmp_path / "ceph.conf"
    conf.write_text("[global]\nmon_host = 127.0.0.1:1\nkeyring = /nowhere/keyring\n")
    done = run({"CEPH_CONF": str(conf)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "127.0.0.1:1" in done.stdout
    assert "/nowhere/keyring: not there" in done.stdout


def test_a_cluster_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    conf = tmp_path / "ceph.conf"
    conf.write_text("[global]\nmon_host = 127.0.0.1:1\nauth_client_required = none\n")
    done = run({"CEPH_CONF": str(conf)}, "--connect", "--timeout", "1")
    assert done.returncode == 1
    assert "did not answer" in done.stdout


def test_a_missing_configuration_is_reported(tmp_path: Path) -> None:
    missing = tmp_path / "missing.conf"
    done = run({"CEPH_CONF": str(missing)}, "--connect")
    assert done.returncode == 1
    assert f"{missing} (CEPH_CONF): not there" in done.stdout
    assert "configuration: cannot be used: " in done.stdout
    assert '"If it does not connect" in the manual, docs/start.md' in done.stdout


def test_a_missing_library_is_reported(tmp_path: Path) -> None:
    done = run({"RBD_LIBRARY": str(tmp_path / "librbd.so.1")})
    assert done.returncode == 1
    assert "not found" in done.stdout
    assert "librbd1" in done.stdout


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_wrong_timeout_is_refused(seconds: str) -> None:
    done = run({}, "--connect", "--timeout", seconds)
    assert done.returncode == 2
    assert "--timeout must be more than 0 seconds" in done.stderr
