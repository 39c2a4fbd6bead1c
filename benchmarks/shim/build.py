"""Builds the shim, and says how to start a process that uses it.

python build.py DIRECTORY     builds DIRECTORY/librbd-shim.so and prints its path
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

SOURCE = Path(__file__).with_name("shim.c")


def build(directory: Path, librbd: str = "librbd.so.1", *, objects: bool = False) -> Path:
    """Compile the shim over `librbd`, a soname or a path. Return the path of the shared object.

    objects: whether calls on objects are stubbed too. Then no image can be opened.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("no C compiler: install gcc, or name one in CC")
    target = directory / ("librbd-objects-shim.so" if objects else "librbd-shim.so")
    library = librbd if os.sep in librbd else f"-l:{librbd}"
    options = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-pthread"]
    options += ["-DOBJECTS"] if objects else []
    subprocess.run(
        [compiler, *options, str(SOURCE), "-o", str(target), "-Wl,--no-as-needed", library],
        check=True,
    )
    return target


def our_environment(shim: Path) -> Dict[str, str]:
    """Return what to add to the environment of a process that uses this package."""
    return {"RBD_LIBRARY": str(shim)}


def stock_environment(shim: Path) -> Dict[str, str]:
    """Return what to add to the environment of a process that uses the stock module."""
    return {"LD_PRELOAD": str(shim)}


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
