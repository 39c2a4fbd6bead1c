"""What all tests share: the mark for newer C functions, and a header that tells what is tested."""

from __future__ import annotations

import contextlib
import secrets
import signal
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import hypothesis
import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from rbd.testing.leftovers import remove_images
from support import fakerbd, isolated

# Each process that a test starts inherits what this one ignores and blocks: a background job of a
# shell ignores the one, a job under nohup the other, and what starts a job may have blocked any.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _usual)
signal.pthread_sigmask(signal.SIG_SETMASK, [])

# How long an example takes is the machine's affair.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_report_header() -> List[str]:
    try:
        info = rbd.library_info()
    except rbd.LibraryNotFound as error:
        return [f"librbd: none ({error})"]
    version = ".".join(map(str, info.version))
    return [f"librbd: {info.path} (version {version}, {len(info.missing)} functions missing)"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for function in mark.args:
            if not rbd.supports(function):
                pytest.skip(f"the loaded librbd has no {function}")


@pytest.fixture
def where(rbd_cluster: Any, rbd_ioctx: Any, rbd_image: Any) -> Iterator[Tuple[str, str, str, str]]:
    """Where an image is, for a process of its own; see place.py."""
    rbd_image.write(b"A" * 4096, 0)
    rbd_image.create_snap("snap")
    name = rbd_image.get_name()
    rbd_image.close()
    yield rbd_cluster.conffile, rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), name
    # Who ended in the middle of a call is taken for a watcher for another half minute, during which
    # the image cannot be removed.
    with contextlib.suppress(rbd.ImageNotFound):
        image = rbd.Image(rbd_ioctx, name, read_only=True)
        with image, rbd_cluster.connect() as cluster:
            for watcher in image.watchers_list():
                cluster.blocklist_add(watcher["addr"], 60)


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The failing librbd of fakerbd, built."""
    return fakerbd.build(tmp_path_factory.mktemp("fakerbd"))


@pytest.fixture
def shimmed(shim_library: Path, where: Tuple[str, str, str, str]) -> Callable[..., Any]:
    """Runs a function of a test in a process of its own, over the shim; `where` comes first.

    `rados`: over the shim's librados too.
    """
    info = rbd.library_info()
    env = {
        "RBD_LIBRARY": str(shim_library),
        "RADOS_LIBRARY": info.rados_path,
        "FAKERBD_REAL": info.path,
    }

    def run(
        function: Callable[..., Any],
        *arguments: Any,
        missing: str = "",
        rados: bool = False,
        **options: Any,
    ) -> Any:
        own = {**env, "FAKERBD_MISSING": missing}
        if rados:
            own["RADOS_LIBRARY"] = ""
        return isolated.run(function, where, *arguments, env=own, **options)

    return run


@pytest.fixture(scope="session")
def second_pool(rbd_cluster: Cluster) -> Iterator[str]:
    """The name of a pool beside the first, ready for images."""
    name = f"second-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(name)
        with cluster.open_ioctx(name) as ioctx:
            rbd.RBD().pool_init(ioctx, True)
        yield name
        cluster.delete_pool(name)


@pytest.fixture
def second_ioctx(rbd_cluster: Cluster, second_pool: str) -> Iterator[rbd.rados.Ioctx]:
    """An open ioctx of the second pool; images made during the test are removed after it."""
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(second_pool) as ours:
        ioctx = cluster.open_ioctx(second_pool)
        with remove_images(ours), ioctx:
            yield ioctx


@pytest.fixture
def new_pool(rbd_cluster: Cluster) -> Iterator[rbd.rados.Ioctx]:
    """An ioctx of a pool that no application has, which goes with everything in it."""
    name = f"new-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(name)
        with cluster.open_ioctx(name) as ioctx:
            yield ioctx
        cluster.delete_pool(name)


@pytest.fixture
def namespace_ioctx(rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """An ioctx of another namespace in the first pool, which goes with its images."""
    name = f"space-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_ioctx.get_pool_name()) as pool:
        rbd.RBD().namespace_create(pool, name)
        ioctx = cluster.open_ioctx(rbd_ioctx.get_pool_name())
        ioctx.set_namespace(name)
        with ioctx, remove_images(ioctx):
            yield ioctx
        rbd.RBD().namespace_remove(pool, name)


@pytest.fixture
def object_ioctx(rbd_cluster: Cluster) -> Iterator[rbd.rados.Ioctx]:
    """An open ioctx of a namespace of its own, for objects, which are removed after the test."""
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ours:
        name = f"objects-{secrets.token_hex(4)}"
        ours.set_namespace(name)
        ioctx = cluster.open_ioctx(rbd_cluster.pools[0])
        ioctx.set_namespace(name)
        with ioctx:
            yield ioctx
        for left in list(ours.list_objects()):
            left.remove()


@pytest.fixture
def snapshot_ioctx(rbd_cluster: Cluster) -> Iterator[rbd.rados.Ioctx]:
    """An open ioctx of a pool of its own, which may have snapshots."""
    name = f"snapshots-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(name)
        with cluster.open_ioctx(name) as ioctx:
            yield ioctx
        cluster.delete_pool(name)
