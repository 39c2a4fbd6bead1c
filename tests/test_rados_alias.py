"""The distribution python/rados provides `import rados` by rbd.rados."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALIAS = ROOT / "python" / "rados"

CODE = """
import rados, rbd.rados
assert rados.__file__.startswith({alias!r}), rados.__file__
assert rados.Rados is rbd.rados.Rados
assert rados.__all__ == rbd.rados.__all__
for name in rados.__all__:
    assert getattr(rados, name) is getattr(rbd.rados, name), name
assert rados.exceptions is rbd.rados.exceptions
try:
    raise rbd.rados.ObjectNotFound("m", errno=2)
except rados.ObjectNotFound:
    pass
try:
    rados.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError
"""


def test_the_alias_has_the_same_names() -> None:
    code = f"import sys; sys.path.insert(0, {str(ALIAS)!r})" + CODE.format(alias=str(ALIAS))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_alias_has_the_same_version() -> None:
    project = (ALIAS / "pyproject.toml").read_text()
    found = re.search(r"project\(rbdxx VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert found is not None
    assert re.findall(r"^version = \"([^\"]+)\"", project, flags=re.M) == [found[1]]
    assert f'dependencies = ["rbd=={found[1]}"]' in project
