"""What all tests share: the mark for newer C functions, and a header that tells what is tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest

import fakerbd
import isolated
import rbd


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
def where(rbd_cluster: Any, rbd_ioctx: Any, rbd_image: Any) -> Tuple[str, str, str, str]:
    """Where an image is, for a process of its own; see place.py."""
    rbd_image.write(b"A" * 4096, 0)
    rbd_image.create_snap("snap")
    name = rbd_image.get_name()
    rbd_image.close()
    return rbd_cluster.conffile, rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), name


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The failing librbd of fakerbd, built."""
    return fakerbd.build(tmp_path_factory.mktemp("fakerbd"))


@pytest.fixture
def shimmed(shim_library: Path, where: Tuple[str, str, str, str]) -> Callable[..., Any]:
    """Runs a function of a test in a process of its own, over the shim; `where` comes first."""
    info = rbd.library_info()
    env = {
        "RBD_LIBRARY": str(shim_library),
        "RADOS_LIBRARY": info.rados_path,
        "FAKERBD_REAL": info.path,
    }

    def run(
        function: Callable[..., Any], *arguments: Any, missing: str = "", **options: Any
    ) -> Any:
        own = {**env, "FAKERBD_MISSING": missing}
        return isolated.run(function, where, *arguments, env=own, **options)

    return run
