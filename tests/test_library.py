"""How librbd is found, and what works without it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any, Callable, Dict

import pytest

import rbd
from rbd import _core
from support import fakerbd
from support.location import Where, open_all


def run(code: str, **environment: str) -> str:
    """Return what a new interpreter prints for `code`."""
    env: Dict[str, str] = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_library_info_describes_the_loaded_library() -> None:
    info = rbd.library_info()
    assert pathlib.Path(info.path).name.startswith("librbd.so.1")
    assert pathlib.Path(info.rados_path).name.startswith("librados.so.2")
    assert info.version == rbd.RBD().version()
    assert info.version[0] == 1
    names = {name for name, _, _ in _core.table()}
    assert set(info.missing) <= names


def test_supports_agrees_with_missing() -> None:
    info = rbd.library_info()
    for name, _, _ in _core.table():
        assert rbd.supports(name) == (name not in info.missing)


def test_supports_refuses_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="rbd_no_such_function"):
        rbd.supports("rbd_no_such_function")


def test_importing_the_package_loads_no_library() -> None:
    code = (
        "import sys, rbd\n"
        "maps = open('/proc/self/maps').read()\n"
        "print('librbd' in maps, [m for m in ('numpy', 'asyncio', 'io', 'hashlib', 'threading')"
        " if m in sys.modules and m not in before], sorted(m for m in sys.modules if 'rbd' in m))"
    )
    assert run(f"import sys; before = set(sys.modules)\n{code}") == (
        "False [] ['rbd', 'rbd._core', 'rbd.exceptions']"
    )


@pytest.mark.parametrize(
    "call", ["export_diff", "export_image", "import_diff", "import_image", "merge_diff"]
)
def test_a_transfer_imports_no_module_that_takes_long(call: str) -> None:
    # A small transfer takes less time than the interpreter's start, so that each import counts.
    heavy = ("ctypes", "datetime", "enum", "hashlib", "queue", "re", "tempfile", "threading")
    code = (
        "import sys; before = set(sys.modules)\n"
        f"import rbd\nassert callable(rbd.transfer.{call}), rbd.rados.Rados\n"
        f"print([m for m in {(*heavy, 'typing')} if m in sys.modules and m not in before])"
    )
    assert run(code) == "[]"


def test_lazy_modules_load_on_access() -> None:
    assert run("import rbd; print(rbd.rados.__name__, rbd.testing.__name__)") == (
        "rbd.rados rbd.testing"
    )
    assert {"rados", "testing"} <= set(dir(rbd))
    with pytest.raises(AttributeError, match="no_such_name"):
        rbd.no_such_name  # noqa: B018


def test_a_missing_librbd_is_named_at_the_first_call() -> None:
    code = (
        "import rbd\n"
        "print(hasattr(rbd.RBD(), 'clone'), hasattr(rbd.Image, 'read'))\n"
        "try:\n"
        "    rbd.RBD().version()\n"
        "except rbd.LibraryNotFound as error:\n"
        "    assert isinstance(error, ImportError) and isinstance(error, rbd.Error)\n"
        "    print(error)\n"
    )
    first, message = run(code, RBD_LIBRARY="/nowhere/librbd.so").splitlines()
    assert first == "True True"
    for part in ("librbd", "/nowhere/librbd.so", "apt-get install librbd1", "RBD_LIBRARY"):
        assert part in message


def test_a_missing_librados_is_named_at_the_first_call() -> None:
    code = (
        "import rbd\n"
        "try:\n"
        "    rbd.connect()\n"
        "except rbd.LibraryNotFound as error:\n"
        "    print(error)\n"
    )
    message = run(code, RADOS_LIBRARY="/nowhere/librados.so")
    assert "librados" in message
    assert "RADOS_LIBRARY" in message


def test_another_library_is_refused(tmp_path: pathlib.Path) -> None:
    fake = tmp_path / "librbd.so.1"
    fake.write_bytes(b"not a library")
    code = (
        "import rbd\n"
        "try:\n"
        "    rbd.library_info()\n"
        "except rbd.LibraryNotFound as error:\n"
        "    print(error)\n"
    )
    assert str(fake) in run(code, RBD_LIBRARY=str(fake))


def test_a_failure_is_not_remembered() -> None:
    code = (
        "import os, rbd\n"
        "os.environ['RBD_LIBRARY'] = '/nowhere'\n"
        "try:\n"
        "    rbd.library_info()\n"
        "except rbd.LibraryNotFound:\n"
        "    del os.environ['RBD_LIBRARY']\n"
        "print(rbd.library_info().version[0])\n"
    )
    assert run(code) == "1"


def test_a_path_names_the_library() -> None:
    path = rbd.library_info().path
    assert run("import rbd; print(rbd.library_info().path)", RBD_LIBRARY=path) == path


def test_two_librados_are_refused(tmp_path: pathlib.Path) -> None:
    ours = pathlib.Path(rbd.library_info().rados_path)
    copy = tmp_path / "librados.so.2"
    copy.write_bytes(ours.read_bytes())
    code = (
        "import rbd\n"
        "try:\n"
        "    rbd.library_info()\n"
        "except rbd.LibraryNotFound as error:\n"
        "    print(error)\n"
    )
    message = run(code, RADOS_LIBRARY=str(copy))
    assert str(copy) in message
    assert str(ours) in message


def name_the_missing(where: Where) -> None:
    _cluster, ioctx, _image = open_all(where)
    with pytest.raises(rbd.FunctionNotSupported) as caught:
        rbd.RBD().clone(ioctx, where[3], 5, ioctx, "child")
    text = str(caught.value)
    assert "rbd_clone4" in text
    assert rbd.library_info().path in text
    assert ".".join(map(str, rbd.library_info().version)) in text
    assert caught.value.errno == 38
    assert isinstance(caught.value, NotImplementedError)


@fakerbd.needs_compiler
def test_a_missing_function_is_named(shimmed: Callable[..., Any]) -> None:
    shimmed(name_the_missing, missing="rbd_clone4")
