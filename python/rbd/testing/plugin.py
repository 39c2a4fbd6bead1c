"""The pytest plugin, with the fixtures rbd_cluster, rbd_ioctx and rbd_image.

pytest finds it by the package's entry point. It need not be imported or listed.
"""

from __future__ import annotations

import os
import re
import secrets
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .cluster import Cluster
from .leftovers import remove_images
from .local import LocalCluster

if TYPE_CHECKING:
    import rbd

_IMAGE_BYTES = 8 << 20
_IMAGE_ORDER = 20
# A test may leave the cluster broken. The end of that test, and later tests, must not wait forever.
_TIMEOUTS = {"rados_osd_op_timeout": "60", "rados_mon_op_timeout": "60"}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rbd", "Ceph block device images")
    group.addoption(
        "--rbd-conf",
        metavar="FILE",
        default=os.environ.get("RBD_TEST_CONF"),
        help="use the cluster of this configuration file instead of a local one of our own "
        "(also: RBD_TEST_CONF)",
    )
    group.addoption(
        "--rbd-pool",
        metavar="NAME",
        default=os.environ.get("RBD_TEST_POOL", "rbd"),
        help="the pool to use on the cluster of --rbd-conf (also: RBD_TEST_POOL; rbd)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "rbd_image(**arguments): how the fixture rbd_image creates its image: size in bytes, and "
        "what else RBD.create() takes",
    )


@pytest.fixture(scope="session")
def rbd_cluster_options() -> dict[str, Any]:
    """Return keyword arguments for the LocalCluster of rbd_cluster. Override it to change the
    cluster."""
    return {}


@pytest.fixture(scope="session")
def rbd_cluster(
    request: pytest.FixtureRequest, rbd_cluster_options: dict[str, Any]
) -> Iterator[Cluster]:
    """Provide a cluster for the whole session: a LocalCluster, or the one that --rbd-conf names."""
    conffile: str | None = request.config.getoption("--rbd-conf")
    if conffile:
        pool = str(request.config.getoption("--rbd-pool"))
        yield Cluster(conffile, (pool,))
        return
    with LocalCluster(**rbd_cluster_options) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _rbd_connection(rbd_cluster: Cluster) -> Iterator[rbd.rados.Rados]:
    with rbd_cluster.connect(conf=_TIMEOUTS, timeout=60) as rados:
        yield rados


@pytest.fixture(scope="session")
def _rbd_namespace(rbd_cluster: Cluster) -> Iterator[str]:
    """Provide the namespace for the session's images.

    A local cluster has no other users, and the code under test may only know pools and images. On a
    cluster with other users, a separate namespace protects their images.
    """
    if isinstance(rbd_cluster, LocalCluster):
        yield ""
        return
    name = f"rbd-testing-{secrets.token_hex(6)}"
    where = ("--pool", rbd_cluster.pools[0], "--namespace", name)
    rbd_cluster.rbd("namespace", "create", *where)
    yield name
    rbd_cluster.rbd("namespace", "remove", *where)


@pytest.fixture
def rbd_ioctx(
    rbd_cluster: Cluster, _rbd_connection: rbd.rados.Rados, _rbd_namespace: str
) -> Iterator[rbd.rados.Ioctx]:
    """Provide an open ioctx of the first pool. Images made during the test are removed after it."""
    pool = rbd_cluster.pools[0]
    with _rbd_connection.open_ioctx(pool) as ours:
        ours.set_namespace(_rbd_namespace)
        with remove_images(ours) as left, _rbd_connection.open_ioctx(pool) as ioctx:
            ioctx.set_namespace(_rbd_namespace)
            yield ioctx
    if left and _rbd_namespace:
        warnings.warn(
            pytest.PytestWarning(f"left in {pool}/{_rbd_namespace}: {', '.join(left)}"),
            stacklevel=1,
        )


@pytest.fixture
def rbd_image(request: pytest.FixtureRequest, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.Image]:
    """Provide an open new image: 8 MiB in objects of 1 MiB, or as the mark rbd_image says."""
    import rbd

    arguments: dict[str, Any] = {"size": _IMAGE_BYTES, "order": _IMAGE_ORDER}
    mark = request.node.get_closest_marker("rbd_image")
    if mark is not None:
        arguments.update(mark.kwargs)
    test = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name)[:64].strip("-")
    name = f"{test}-{secrets.token_hex(4)}"
    rbd.RBD().create(rbd_ioctx, name, **arguments)
    with rbd.Image(rbd_ioctx, name) as image:
        yield image
