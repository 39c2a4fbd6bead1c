"""Each static check finds its faults: a small tree is broken once for each rule."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools" / "check"))

import constants
import headers
import layers
import run
import topics

CHECK = Path(run.__file__).parent

# A small tree that passes every check.
GOOD: Dict[str, str] = {
    "cpp/include/rbdxx/abi/types.hpp": "#pragma once\nusing handle = void*;\n",
    "cpp/include/rbdxx/api.hpp": "#pragma once\n#include <rbdxx/abi/types.hpp>\n",
    "cpp/include/rbdxx/handle.hpp": "#pragma once\n#include <rbdxx/api.hpp>\n",
    "cpp/include/rbdxx/lock.hpp": "#pragma once\n#include <rbdxx/handle.hpp>\nvoid lock(handle);\n",
    "cpp/include/rbdxx/rados/pool.hpp": "#pragma once\n#include <rbdxx/handle.hpp>\n",
    "cpp/src/rados/pool.cpp": "#include <rbdxx/rados/pool.hpp>\n",
    "cpp/bindings/rados/bind_pool.cpp": "void bind_pool(int) {}\n",
    "cpp/bindings/rados/module.cpp": "int contents = bind_pool(0);\n",
    "tests/test_rados_pool.py": "",
    "cpp/src/api.cpp": '#include <rbdxx/api.hpp>\n#include "loader.hpp"\n',
    "cpp/src/handle.cpp": "#include <rbdxx/handle.hpp>\n",
    "cpp/src/lock.cpp": "#include <rbdxx/lock.hpp>\n",
    "cpp/src/loader.hpp": "#pragma once\n",
    "cpp/src/loader.cpp": "#include <dlfcn.h>\nvoid* f = dlopen(nullptr, 0);\n",
    "cpp/bindings/gil.hpp": "#pragma once\n#include <pybind11/pybind11.h>\n",
    "cpp/bindings/bind_lock.cpp": '#include "gil.hpp"\nvoid bind_lock() {}\n',
    "cpp/bindings/module.cpp": '#include "gil.hpp"\nint module = bind_lock();\n',
    "python/rbd/exceptions.py": "import errno\n\nNUMBER = errno.EINVAL\n",
    "tests/test_lock.py": "import rbd\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in GOOD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("check", [layers, topics, constants], ids=lambda m: m.__name__)
def test_a_good_tree_passes(check: object, tree: Path) -> None:
    assert check.findings(tree) == []  # type: ignore[attr-defined]


LAYERS = {
    "an image below RADOS": ("cpp/src/rados/pool.cpp", "#include <rbdxx/lock.hpp>\n"),
    "an image in a header of RADOS": (
        "cpp/include/rbdxx/rados/pool.hpp",
        "#include <rbdxx/lock.hpp>\n",
    ),
    "an image in a binding of RADOS": (
        "cpp/bindings/rados/bind_pool.cpp",
        '#include "../support/image.hpp"\n',
    ),
    "pybind11 in the library": ("cpp/src/lock.cpp", "#include <pybind11/pybind11.h>\n"),
    "Python.h in a header": ("cpp/include/rbdxx/lock.hpp", "#include <Python.h>\n"),
    "Ceph's header": ("cpp/src/lock.cpp", "#include <rbd/librbd.h>\n"),
    "the bindings from below": ("cpp/src/lock.cpp", '#include "gil.hpp"\n'),
    "a private header": ("cpp/include/rbdxx/lock.hpp", '#include "loader.hpp"\n'),
    "dlsym": ("cpp/src/lock.cpp", 'void* g() { return dlsym(nullptr, "x"); }\n'),
    "a higher layer": ("cpp/include/rbdxx/api.hpp", "#include <rbdxx/lock.hpp>\n"),
    "the leaf": ("python/rbd/exceptions.py", "from . import _core\n"),
    "the leaf, by name": ("python/rbd/exceptions.py", "import rbd.rados\n"),
    "the leaf, in a function": (
        "python/rbd/exceptions.py",
        "def made():\n    from . import rados\n\n    return rados\n",
    ),
    "the leaf, at run time": (
        "python/rbd/exceptions.py",
        "import importlib\n\nrados = importlib.import_module('.rados', __package__)\n",
    ),
}


@pytest.mark.parametrize("what", LAYERS)
def test_layers_find_a_forbidden_dependency(what: str, tree: Path) -> None:
    name, line = LAYERS[what]
    with (tree / name).open("a") as file:
        file.write(line)
    found = layers.findings(tree)
    assert found
    assert all(finding.startswith(name.split("lock")[0][:12]) for finding in found)


def test_layers_find_a_cycle(tree: Path) -> None:
    header = tree / "cpp/include/rbdxx/lock.hpp"
    header.write_text(header.read_text() + "#include <rbdxx/watch.hpp>\n")
    (tree / "cpp/include/rbdxx/watch.hpp").write_text("#pragma once\n#include <rbdxx/lock.hpp>\n")
    assert len([finding for finding in layers.findings(tree) if "circle" in finding]) == 2


CIRCLES = {
    "at the top": ("from . import rados\n", 2),
    "in a function": ("def f():\n    from .rados import g\n", 2),
    "by its whole name": ("import rbd.rados\n", 2),
    "for the type checker alone": ("if TYPE_CHECKING:\n    from . import rados\n", 0),
}


@pytest.mark.parametrize("where", CIRCLES)
def test_layers_find_modules_that_import_each_other(where: str, tree: Path) -> None:
    line, modules = CIRCLES[where]
    package = tree / "python/rbd"
    (package / "rados").mkdir(parents=True)
    (package / "rados/__init__.py").write_text("from .. import _core\nfrom ..one import f\n")
    (package / "one.py").write_text(line)
    assert len(layers.findings(tree)) == modules


def test_layers_ignore_comments(tree: Path) -> None:
    with (tree / "cpp/src/lock.cpp").open("a") as file:
        file.write("// #include <Python.h>\n/* dlopen(a) */\n")
    assert layers.findings(tree) == []


@pytest.mark.parametrize(
    "lost",
    [
        "cpp/src/lock.cpp",
        "cpp/include/rbdxx/lock.hpp",
        "tests/test_lock.py",
        "cpp/bindings/module.cpp",
    ],
)
def test_topics_find_a_missing_file(lost: str, tree: Path) -> None:
    (tree / lost).unlink()
    found = topics.findings(tree)
    assert len(found) == 1
    assert "lock" in found[0]


@pytest.mark.parametrize(
    "lost",
    [
        "cpp/src/rados/pool.cpp",
        "cpp/include/rbdxx/rados/pool.hpp",
        "tests/test_rados_pool.py",
        "cpp/bindings/rados/module.cpp",
    ],
)
def test_topics_of_rados_find_a_missing_file(lost: str, tree: Path) -> None:
    (tree / lost).unlink()
    found = topics.findings(tree)
    assert len(found) == 1
    assert "rados" in found[0]
    assert "pool" in found[0]


def test_topics_find_a_missing_function(tree: Path) -> None:
    (tree / "cpp/bindings/bind_lock.cpp").write_text("void bind_locks() {}\n")
    assert topics.findings(tree) == ["cpp/bindings/bind_lock.cpp: defines no bind_lock"]


CONSTANTS = {
    "cpp/include/rbdxx/abi/constants.def": (
        "RBDXX_CONSTANT(14, int, , EVENT, 1)\n"
        "RBDXX_CONSTANT(16, rbd_mode_t, RBD_, MODE, (1u << 3))\n"
        'RBDXX_TEXT(14, RBD_, NAME, "a, b")\n'
    ),
    "python/rbd/_constants.pyi": (
        "# Written by tools/check/constants.py from cpp/include/rbdxx/abi/constants.def.\n"
        '__all__ = [\n    "ECANCELED",\n    "EVENT",\n    "RBD_MODE",\n    "RBD_NAME",\n]\n\n'
        "EVENT: int\nRBD_MODE: int\nRBD_NAME: str\nECANCELED: int\n"
    ),
}


@pytest.mark.parametrize("stale", ["nothing", *CONSTANTS])
def test_constants_find_a_stale_list(stale: str, tree: Path) -> None:
    for name, text in CONSTANTS.items():
        (tree / name).write_text(text.replace("MODE", "MODES") if name == stale else text)
    assert len(constants.findings(tree)) == (stale != "nothing")


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler: install g++")
@pytest.mark.parametrize(
    "line", ["std::string text();\n", "#include <no/such/header.hpp>\n", "int twice = 1;\n"]
)
def test_headers_find_a_private_include(line: str, tree: Path) -> None:
    assert headers.findings(tree) == []
    header = tree / "cpp/include/rbdxx/lock.hpp"
    text = header.read_text() + line
    header.write_text(text.replace("#pragma once\n", "") if "twice" in line else text)
    found = headers.findings(tree)
    assert len(found) == 1
    assert found[0].startswith("cpp/include/rbdxx/lock.hpp")


TOOLS = {
    "clang-format": ("cpp/src/lock.cpp", "int  f( );\n"),
    "ruff": ("tests/test_lock.py", "import os\n"),
    "codespell": ("notes.md", "rec" + "ieve\n"),
    "mypy": ("python/rbd/__init__.py", "def f(x): return x\n"),
    "pyright": ("python/rbd/__init__.py", "value: int = ''\n"),
    "stubtest": ("typings/rbd/_core.pyi", "def no_such_function() -> int: ...\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_finds_a_fault(tool: str, tree: Path) -> None:
    try:
        run.program(tool)
    except SystemExit:
        pytest.skip(f"no {tool}: ./dev check installs it")
    root = CHECK.parents[1]
    for name in (".clang-format", "pyproject.toml"):
        shutil.copy(root / name, tree)
    check = run.checks()[tool]
    (tree / "tests/test_lock.py").unlink()
    if tool != "stubtest":
        assert check(tree) == []
    name, text = TOOLS[tool]
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)
    assert check(tree)


def test_the_runner_fails_when_a_check_does(tree: Path) -> None:
    command = [sys.executable, str(CHECK / "run.py"), "--root", str(tree), "layers", "topics"]
    good = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (good.returncode, good.stdout) == (0, "ok   layers\nok   topics\n")
    (tree / "cpp/src/lock.cpp").unlink()
    bad = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert bad.returncode == 1
    assert "FAIL topics" in bad.stdout


def test_the_runner_can_skip_a_check(tree: Path) -> None:
    checks = [*run.checks()]
    without = [word for name in checks if name != "layers" for word in ("--without", name)]
    command = [sys.executable, str(CHECK / "run.py"), "--root", str(tree), *without]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "ok   layers\n")


def test_the_runner_refuses_an_unknown_check() -> None:
    command = [sys.executable, str(CHECK / "run.py"), "no-such-check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no check no-such-check" in done.stderr
