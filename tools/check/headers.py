"""Check that each public header compiles alone, as the first include of a program."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import List

from tree import files


def findings(root: Path) -> List[str]:
    compiler = os.environ.get("CXX") or shutil.which("c++")
    if compiler is None:
        return ["no C++ compiler, so no header can be compiled: install g++"]
    base = root / "cpp/include"
    found = []
    for path in files(root, "cpp/include/rbdxx/*.hpp"):
        name = path.relative_to(base).as_posix()
        command = [compiler, "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic"]
        command += ["-Werror", "-I", str(base), "-x", "c++", "-"]
        # Included twice, so that a header without its guard is found too.
        source = f"#include <{name}>\n#include <{name}>\n"
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            found.append(f"cpp/include/{name}: does not compile alone\n{done.stderr.rstrip()}")
    return found
