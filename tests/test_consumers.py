"""Projects that use rbdxx: each is configured, built and run on its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Dict

import pytest

import rbd

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def cmake(*arguments: object) -> None:
    own = Path(sysconfig.get_path("scripts"), "cmake")
    program = str(own) if own.exists() else shutil.which("cmake")
    if program is None or shutil.which("c++") is None:
        pytest.skip("no cmake or no C++ compiler: pip install cmake, apt-get install g++")
    # Without the settings of the Python environment, because these are foreign projects.
    settings = {name: value for name, value in os.environ.items() if name != "CXXFLAGS"}
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    assert done.returncode == 0, done.stdout + done.stderr


def build(source: Path, directory: Path, *options: str) -> Path:
    cmake("-S", source, "-B", directory, "-DCMAKE_BUILD_TYPE=Release", *options)
    cmake("--build", directory, "--parallel", "2")
    return directory


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide an install tree of only the C++ library, built without Python."""
    directory = tmp_path_factory.mktemp("cpp-only")
    build(ROOT, directory / "build", "-DRBDXX_PYTHON=OFF", "-DRBDXX_TESTS=OFF")
    cmake("--install", directory / "build", "--prefix", directory / "install")
    return directory / "install"


def run_downstream(program: Path, rbd_cluster: rbd.testing.Cluster, image: str) -> None:
    command = [str(program), str(rbd_cluster.conffile), rbd_cluster.pools[0], image]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "size:     8388608 bytes",
        "head:     written after the snapshot!",
        "snapshot: written before the snapshot",
    ]
    failed = subprocess.run(command[:2] + ["no-such-pool", image], capture_output=True, timeout=120)
    assert failed.returncode == 1
    assert b"no-such-pool" in failed.stderr


def test_a_project_builds_with_the_python_package(
    tmp_path: Path, rbd_cluster: rbd.testing.Cluster
) -> None:
    built = build(ROOT / "cpp/examples/downstream", tmp_path, f"-Drbdxx_DIR={rbd.get_cmake_dir()}")
    run_downstream(built / "downstream", rbd_cluster, "downstream-package")


def test_a_project_builds_with_an_install_tree(
    tmp_path: Path, installed: Path, rbd_cluster: rbd.testing.Cluster
) -> None:
    option = f"-DCMAKE_PREFIX_PATH={installed}"
    built = build(ROOT / "cpp/examples/downstream", tmp_path, option)
    run_downstream(built / "downstream", rbd_cluster, "downstream-installed")
    linked = subprocess.run(
        ["ldd", str(built / "downstream")], capture_output=True, text=True, check=True
    ).stdout
    assert "python" not in linked
    assert "librbd.so" not in linked


def run_tutorial(program: Path, rbd_cluster: rbd.testing.Cluster, image: str) -> None:
    command = [str(program), str(rbd_cluster.conffile), rbd_cluster.pools[0], image]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs/cpp.md").read_text()
    assert f"```text\n{done.stdout}```" in page
    assert done.stdout.startswith("16384 bytes changed\n")


def test_the_tutorial_builds_with_cmake(
    tmp_path: Path, installed: Path, rbd_cluster: rbd.testing.Cluster
) -> None:
    option = f"-DCMAKE_PREFIX_PATH={installed}"
    built = build(ROOT / "cpp/examples/tutorial", tmp_path, option)
    run_tutorial(built / "tutorial", rbd_cluster, "tutorial-cmake")


def pkg_config(directory: Path) -> Dict[str, str]:
    if shutil.which("pkg-config") is None:
        pytest.skip("no pkg-config: apt-get install pkg-config")
    return {**os.environ, "PKG_CONFIG_PATH": str(directory)}


def by_hand(directory: Path, program: Path) -> None:
    """Return the commands that the manual says to type."""
    line = "c++ -std=c++17 main.cpp $(pkg-config --cflags --libs rbdxx) -o"
    assert f"$ {line} tutorial\n" in (ROOT / "docs/cpp.md").read_text()
    source = ROOT / "cpp/examples/tutorial"
    command = ["bash", "-euc", f"{line} {program}"]
    done = subprocess.run(
        command, cwd=source, env=pkg_config(directory), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_tutorial_builds_by_hand_with_the_python_package(
    tmp_path: Path, rbd_cluster: rbd.testing.Cluster
) -> None:
    by_hand(Path(rbd.get_pkgconfig_dir()), tmp_path / "tutorial")
    run_tutorial(tmp_path / "tutorial", rbd_cluster, "tutorial-by-hand")


def test_pkg_config_finds_a_moved_tree(tmp_path: Path, installed: Path) -> None:
    shutil.copytree(installed, tmp_path / "moved")
    (file,) = (tmp_path / "moved").rglob("rbdxx.pc")
    by_hand(file.parent, tmp_path / "tutorial")
    environment = pkg_config(file.parent)
    command = ["pkg-config", "--variable=includedir", "rbdxx"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (Path(told.stdout.strip()) / "rbdxx" / "rbdxx.hpp").samefile(
        tmp_path / "moved/include/rbdxx/rbdxx.hpp"
    )
    command = ["pkg-config", "--modversion", "rbdxx"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == rbd.__version__


def test_the_tutorial_builds_with_meson(tmp_path: Path, rbd_cluster: rbd.testing.Cluster) -> None:
    meson, ninja = shutil.which("meson"), shutil.which("ninja")
    if meson is None or ninja is None:
        pytest.skip("no meson or no ninja: apt-get install meson")
    environment = pkg_config(Path(rbd.get_pkgconfig_dir()))
    for command in (
        [meson, "setup", str(tmp_path), str(ROOT / "cpp/examples/tutorial")],
        [meson, "compile", "-C", str(tmp_path)],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    run_tutorial(tmp_path / "tutorial", rbd_cluster, "tutorial-meson")


def test_the_package_has_the_directories_that_it_returns() -> None:
    assert Path(rbd.get_include(), "rbdxx", "rbdxx.hpp").exists()
    assert Path(rbd.get_include(), "rbdxx", "abi", "librbd.def").exists()
    assert Path(rbd.get_cmake_dir(), "rbdxxConfig.cmake").exists()
    assert Path(rbd.get_pkgconfig_dir(), "rbdxx.pc").exists()
    umbrella = Path(rbd.get_include(), "rbdxx", "rbdxx.hpp").read_text()
    for header in Path(ROOT, "cpp/include/rbdxx").glob("*.hpp"):
        assert f"#include <rbdxx/{header.name}>" in umbrella


@pytest.fixture(scope="module")
def numpy_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    pytest.importorskip("numpy")
    pybind11 = pytest.importorskip("pybind11")
    directory = build(
        ROOT / "examples/numpy_module",
        tmp_path_factory.mktemp("numpy_module"),
        f"-Drbdxx_DIR={rbd.get_cmake_dir()}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        f"-DPython_EXECUTABLE={sys.executable}",
    )
    (file,) = directory.glob("numpy_module*.so")
    spec = importlib.util.spec_from_file_location("numpy_module", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_numpy_module_reads_an_image(numpy_module: ModuleType, rbd_image: rbd.Image) -> None:
    import numpy as np

    data = np.random.default_rng(1).integers(0, 256, 3 << 20, dtype=np.uint8)
    rbd_image.write(data, 1 << 20)
    reader = numpy_module.Reader(rbd_image)
    assert np.array_equal(reader.read(1 << 20, data.size), data)
    assert reader.read(rbd_image.size() - 10, 100).size == 10
    counts = np.bincount(data, minlength=256)
    counts[0] += rbd_image.size() - data.size
    assert np.array_equal(reader.histogram(), counts)


def test_the_numpy_module_outlives_the_image(
    numpy_module: ModuleType, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.write(b"lent", 0)
    image = rbd.Image(rbd_ioctx, rbd_image.get_name())
    closed = numpy_module.Reader(image)
    image.close()
    collected = numpy_module.Reader(rbd.Image(rbd_ioctx, rbd_image.get_name()))
    assert bytes(closed.read(0, 4)) == b"lent"
    assert bytes(collected.read(0, 4)) == b"lent"


def test_the_numpy_module_refuses_closed_and_foreign_objects(
    numpy_module: ModuleType, rbd_image: rbd.Image
) -> None:
    with pytest.raises(AttributeError):
        numpy_module.Reader(object())
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument):
        numpy_module.Reader(rbd_image)
