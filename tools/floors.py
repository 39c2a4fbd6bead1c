"""Build the package with the oldest supported tools, in the oldest root.

The two pyproject.toml files declare the versions, and nothing else does. CMake is the root's own
package, which must have the declared version. GCC, Clang, CPython and pip are the root's too. Other
build requirements come from the index.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tools import results, roots

PYPROJECT = roots.REPOSITORY / "pyproject.toml"
RADOS_PYPROJECT = roots.REPOSITORY / "python" / "rados" / "pyproject.toml"

# Builds with the oldest of each and with the root's pip, then with Clang, whose warnings are
# errors. Only the tests' requirements need a newer pip. The installed wheel stays, because a source
# distribution would be built again, by the newest tools.
BUILD = """
set -eu
command -v cmake clang++ >/dev/null || {
    apt-get update -q
    apt-get install -y -q --no-install-recommends cmake clang
}
rm -rf venv gcc clang
python3 -m venv --system-site-packages venv
pip=$(venv/bin/python -m pip --version)
printf '%s\\n' $2 >constraints.txt
export PIP_CONSTRAINT=$PWD/constraints.txt
venv/bin/python -m pip wheel --no-deps --wheel-dir gcc "$1" source/python/rados
venv/bin/python -m pip install --no-deps gcc/*.whl
CXX=clang++ SKBUILD_CMAKE_DEFINE=RBDXX_WERROR=ON \\
    venv/bin/python -m pip wheel --no-deps --wheel-dir clang "$1"
unset PIP_CONSTRAINT
venv/bin/python -m pip install --quiet --upgrade pip
venv/bin/python -m pip install --quiet "$(echo gcc/rbd-*.whl)[test]"
version() { "$@" | sed -n '1s/.* \\([0-9][0-9.]*[0-9]\\).*/\\1/p'; }
printf '{"cmake": "%s", "gcc": "%s", "clang": "%s", "pip": "%s"}\\n' "$(version cmake --version)" \\
    "$(c++ -dumpfullversion)" "$(version clang++ --version)" "$(echo "$pip" | cut -d ' ' -f 2)"
"""


def declared(page: str) -> dict[str, str]:
    """Return the oldest version of each build requirement in a pyproject.toml."""
    found = dict(re.findall(r'"([a-z0-9-]+)>=([0-9.]+)[^"]*"', page.split("[project]")[0]))
    found.update(re.findall(r'^(cmake)\.version = ">=([0-9.]+)"', page, re.MULTILINE))
    return found


def exact(version: str) -> str:
    """Return the first release that a requirement of a version admits: 3 is 3.0.0."""
    return ".".join((version.split(".") + ["0", "0"])[:3])


def build(sdist: Path, directory: Path) -> results.Floors:
    """Build the package with the oldest tools. Return their versions, and what is wrong."""
    wanted = {**declared(RADOS_PYPROJECT.read_text()), **declared(PYPROJECT.read_text())}
    cmake = wanted.pop("cmake")
    pins = [f"{name}=={exact(version)}" for name, version in wanted.items()]
    command = ["bash", "-c", BUILD, "build", str(sdist), " ".join(pins)]
    printed = roots.run_inside(roots.releases()[0].suite, command, directory, binds=[sdist.parent])
    tools = {**json.loads(printed.splitlines()[-1]), **dict(pin.split("==") for pin in pins)}
    problems = []
    if not tools["cmake"].startswith(f"{cmake}."):
        problems.append(f"was built with CMake {tools['cmake']}, pyproject.toml says {cmake}")
    return results.Floors(tools, problems=problems)
