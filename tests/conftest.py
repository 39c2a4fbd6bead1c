"""The fixtures and marks of all tests, and the header that describes the tested versions."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import hypothesis
import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from rbd.testing.leftovers import remove_images
from support import fakerbd, isolated

# A process that a test starts inherits the signals that this process ignores and blocks. A shell
# makes a background job ignore one signal, and nohup makes a job ignore another. The program that
# starts a job may have blocked any signal.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _usual)
signal.pthread_sigmask(signal.SIG_SETMASK, [])

# The time of an example depends on the machine.
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
def time_zone() -> Iterator[Callable[[str], None]]:
    """Return a function that sets the local time zone for the duration of the test."""
    before = os.environ.get("TZ")

    def change(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield change
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture
def where(rbd_cluster: Any, rbd_ioctx: Any, rbd_image: Any) -> Iterator[Tuple[str, str, str, str]]:
    """Provide the location of an image, for a separate process; see location.py."""
    rbd_image.write(b"A" * 4096, 0)
    rbd_image.create_snap("snap")
    name = rbd_image.get_name()
    rbd_image.close()
    yield rbd_cluster.conffile, rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), name
    # For half a minute, the cluster takes a client that died during a call for a watcher. The image
    # cannot be removed during that time.
    with contextlib.suppress(rbd.ImageNotFound):
        image = rbd.Image(rbd_ioctx, name, read_only=True)
        with image, rbd_cluster.connect() as cluster:
            for watcher in image.watchers_list():
                cluster.blocklist_add(watcher["addr"], 60)


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the failing librbd of fakerbd."""
    return fakerbd.build(tmp_path_factory.mktemp("fakerbd"))


@pytest.fixture
def shimmed(shim_library: Path, where: Tuple[str, str, str, str]) -> Callable[..., Any]:
    """Run a function of a test in a separate process over the shim; `where` is its first argument.

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
    """Provide the name of a second pool, prepared for images."""
    name = f"second-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(name)
        with cluster.open_ioctx(name) as ioctx:
            rbd.RBD().pool_init(ioctx, True)
        yield name
        cluster.delete_pool(name)


@pytest.fixture
def second_ioctx(rbd_cluster: Cluster, second_pool: str) -> Iterator[rbd.rados.Ioctx]:
    """Provide an open ioctx of the second pool. The images of the test are removed after it."""
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(second_pool) as ours:
        ioctx = cluster.open_ioctx(second_pool)
        with remove_images(ours), ioctx:
            yield ioctx


@pytest.fixture
def new_pool(rbd_cluster: Cluster) -> Iterator[rbd.rados.Ioctx]:
    """Provide an ioctx of a new pool, which has no application and may have snapshots."""
    name = f"new-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(name)
        with cluster.open_ioctx(name) as ioctx:
            yield ioctx
        cluster.delete_pool(name)


@pytest.fixture
def namespace_ioctx(rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """Provide an ioctx of another namespace in the first pool. Its images are removed after the
    test."""
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
    """Provide an open ioctx of a new namespace for objects, which are removed after the test."""
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ours:
        name = f"objects-{secrets.token_hex(4)}"
        ours.set_namespace(name)
        ioctx = cluster.open_ioctx(rbd_cluster.pools[0])
        ioctx.set_namespace(name)
        with ioctx:
            yield ioctx
        for left in list(ours.list_objects()):
            left.remove()
