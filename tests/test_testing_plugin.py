"""rbd.testing.plugin: its fixtures, in a separate pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

from rbd.testing import LocalCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(pools=("rbd", "other")) as cluster:
        yield cluster


#: All are errors but that of zarr's plugin for pytest: a dependency has no wheel for free-threaded
#: Python.
WARNINGS = ["-W", "error", "-W", "ignore:As the c extension couldn't be imported:RuntimeWarning"]


def run(directory: Path, source: str, *options: str, **environment: str) -> str:
    """Run pytest on one file. Return its report, which must be a success."""
    (directory / "test_it.py").write_text("import pytest\nimport rbd\n" + source)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("RBD_TEST", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *WARNINGS, "-v", *options],
        cwd=directory,
        env={**variables, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


FIXTURES = """
def test_image(rbd_image, rbd_ioctx, rbd_cluster):
    assert rbd_image.size() == 8 << 20
    assert rbd_image.stat()["obj_size"] == 1 << 20
    assert rbd_image.write(b"data", 4096) == 4
    assert rbd_image.read(4094, 8) == bytes(2) + b"data" + bytes(2)
    assert rbd.RBD().list(rbd_ioctx) == [rbd_image.get_name()]

@pytest.mark.rbd_image(size=3 << 20, order=22)
@pytest.mark.parametrize("text", ["a/b c", "\\u00e4"])
def test_mark(rbd_image, text):
    assert rbd_image.size() == 3 << 20
    assert rbd_image.stat()["obj_size"] == 4 << 20

def test_leave_a_family_behind(rbd_ioctx, rbd_image):
    rbd.RBD().create(rbd_ioctx, "parent", 1 << 20)
    with rbd.Image(rbd_ioctx, "parent") as parent:
        parent.create_snap("one")
        parent.create_snap("two")
        parent.protect_snap("one")
    rbd.RBD().clone(rbd_ioctx, "parent", "one", rbd_ioctx, "a-clone", 1)
    with rbd.Image(rbd_ioctx, "a-clone") as clone:
        clone.create_snap("s")
        clone.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "a-clone", "s", rbd_ioctx, "zz-clone", 1)
    rbd_image.create_snap("kept")

def test_nothing_is_left(rbd_ioctx):
    assert rbd.RBD().list(rbd_ioctx) == []
"""


def test_fixtures_work_on_a_local_cluster(tmp_path: Path) -> None:
    source = """
from rbd.testing import LocalCluster

def test_where(rbd_cluster, rbd_ioctx):
    assert isinstance(rbd_cluster, LocalCluster)
    assert rbd_ioctx.get_pool_name() == "rbd"
    assert rbd_ioctx.get_namespace() == ""
    rbd_cluster.rbd("create", "--size", "1M", "by-tool")
    assert rbd.RBD().list(rbd_ioctx) == ["by-tool"]
"""
    report = run(tmp_path, source + FIXTURES)
    assert "6 passed" in report


@pytest.mark.parametrize("by_variable", [False, True])
def test_fixtures_work_on_an_existing_cluster(
    by_variable: bool, tmp_path: Path, cluster: LocalCluster
) -> None:
    cluster.rbd("create", "--size", "1M", "other/not-ours")
    source = """
def test_where(rbd_cluster, rbd_ioctx):
    assert rbd_cluster.pools == ("other",)
    assert rbd_ioctx.get_pool_name() == "other"
    assert rbd_ioctx.get_namespace().startswith("rbd-testing-")
"""
    if by_variable:
        report = run(
            tmp_path, source + FIXTURES, RBD_TEST_CONF=cluster.conffile, RBD_TEST_POOL="other"
        )
    else:
        options = ("--rbd-conf", cluster.conffile, "--rbd-pool", "other")
        report = run(tmp_path, source + FIXTURES, *options)
    assert "6 passed" in report
    assert cluster.rbd("ls", "other").split() == ["not-ours"]
    assert json.loads(cluster.rbd("namespace", "ls", "--format", "json", "other")) == []
    cluster.rbd("rm", "--no-progress", "other/not-ours")


def test_an_open_image_is_reported_on_an_existing_cluster(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    source = """
import warnings

@pytest.fixture(autouse=True)
def held(_rbd_connection, _rbd_namespace):
    images = []
    yield images
    for image in images:
        image.close()

def test_open(rbd_ioctx, held, _rbd_connection, _rbd_namespace):
    rbd.RBD().create(rbd_ioctx, "held", 1 << 20)
    other = _rbd_connection.open_ioctx("rbd")
    other.set_namespace(_rbd_namespace)
    image = rbd.Image(other, "held")
    image.write(b"x", 0)
    held.append(image)

def test_later(rbd_ioctx):
    assert rbd.RBD().list(rbd_ioctx) == ["held"]
    rbd.RBD().remove(rbd_ioctx, "held")
"""
    report = run(tmp_path, source, "-W", "default", "--rbd-conf", cluster.conffile)
    assert "2 passed" in report
    assert "left in rbd/rbd-testing-" in report


def test_options_of_the_cluster_can_be_changed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n"
        "@pytest.fixture(scope='session')\n"
        "def rbd_cluster_options():\n"
        "    return {'osds': 2, 'pools': ('mine',)}\n"
    )
    source = """
def test_it(rbd_cluster, rbd_ioctx):
    assert rbd_cluster.osds == 2
    assert rbd_ioctx.get_pool_name() == "mine"
"""
    assert "1 passed" in run(tmp_path, source)


def test_an_unused_plugin_imports_nothing(tmp_path: Path) -> None:
    source = """
from pathlib import Path

def test_it():
    maps = Path("/proc/self/maps").read_text()
    assert "librbd" not in maps and "librados" not in maps
"""
    assert "1 passed" in run(tmp_path, source, PATH=str(tmp_path))
