"""No file of code is longer than a reader can hold: about 400 lines, or a reason at its top.

The reason is a comment among the first ten lines that begins with "Long because".
"""

from __future__ import annotations

from pathlib import Path
from typing import List

from tree import files, text_of

LIMIT = 420
PATTERNS = ("*.py", "*.pyi", "*.cpp", "*.hpp", "*.def", "*.sh", "*.cmake", "*CMakeLists.txt", "dev")


def findings(root: Path) -> List[str]:
    found = []
    for path in files(root, *PATTERNS):
        lines = text_of(path).splitlines()
        if len(lines) > LIMIT and not any("Long because" in line for line in lines[:10]):
            found.append(f"{path.relative_to(root)}: {len(lines)} lines, over {LIMIT}")
    return found
