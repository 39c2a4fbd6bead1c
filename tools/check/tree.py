"""The files of a checkout, for the checks."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Iterator, List

IGNORED = {".git", ".venv", ".dev", "build", "dist", "__pycache__", ".cache"}


def files(root: Path, *patterns: str) -> List[Path]:
    """Return the project's files (tracked or new), or those of a plain directory, that match a
    pattern.

    In a pattern, * matches slashes too.
    """
    command = ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
    if (root / ".git").exists():
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        paths = [root / name for name in listed.split("\0") if name]
    else:
        paths = [path for path in root.rglob("*") if not IGNORED & {*path.relative_to(root).parts}]
    paths = sorted(path for path in paths if path.is_file())
    if patterns:
        names = {path: path.relative_to(root).as_posix() for path in paths}
        paths = [path for path in paths if any(fnmatch(names[path], p) for p in patterns)]
    return paths


def text_of(path: Path) -> str:
    """Return the text of a file; empty for a file that is not text."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def code_of(path: Path) -> str:
    """Return C++ without comments, with each line in its place."""
    return re.sub(
        r"/\*.*?\*/|//[^\n]*",
        lambda match: "\n" * match.group().count("\n"),
        text_of(path),
        flags=re.S,
    )


def includes(path: Path) -> Iterator[str]:
    """Return what a C++ file includes."""
    for match in re.finditer(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', code_of(path), flags=re.M):
        yield match.group(1)
