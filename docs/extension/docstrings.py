"""Makes reStructuredText of the package's docstrings, which are plain text.

They are written for help(): names in single backticks, `x*` and `X_` as they come, examples
indented, sections as numpydoc underlines them, and the C functions in a last paragraph,
"Implements: rbd_x".
"""

from __future__ import annotations

import re
from typing import Any, List

IMPLEMENTS = re.compile(r"Implements:\s*((?:rbd|rados)_\w+(?:,\s*(?:rbd|rados)_\w+)*)")
MARK = "*C function:* "
#: Sections whose entries are a name and an indented text, and all that there are.
LISTS = ("Parameters", "Raises")
SECTIONS = (*LISTS, "Returns", "Notes", "Examples")
# A stretch of code as it stands, or a character that means something to reStructuredText.
SPECIAL = re.compile(r"``[^`]+``|`[^`]+`|[*|\\]|_(?=\W|$)")


def escaped(text: str) -> str:
    """The text with its backticks as literals and everything else without a meaning."""

    def one(match: re.Match[str]) -> str:
        found = match.group()
        if found.startswith("`"):
            return f"``{found.strip('`')}``"
        return "\\" + found

    return SPECIAL.sub(one, text)


def field(match: re.Match[str]) -> str:
    """What a call implements, as a paragraph of its own."""
    names = re.findall(r"\w+", match.group(1))
    return "\n\n" + MARK + ", ".join(f"``{name}``" for name in names) + "\n\n"


def rewritten(lines: List[str]) -> List[str]:
    """The lines of a docstring as reStructuredText."""
    text = IMPLEMENTS.sub(field, "\n".join(lines))
    result: List[str] = []
    section = ""
    plain = text.split("\n")
    for number, line in enumerate(plain):
        following = plain[number + 1] if number + 1 < len(plain) else ""
        if line in SECTIONS and following == "-" * len(line):
            section = line
            result += [f".. rubric:: {line}", ""]
            continue
        if section and line == "-" * len(section):
            continue
        if line.startswith(MARK):
            section = ""
        if section in LISTS:
            # A definition list: the name, and what it is below it, indented; maybe nothing.
            if line and not line.startswith(" "):
                bare = [] if following.startswith(" ") else ["    \\ "]
                result += [f"``{line}``", *bare]
            else:
                result.append("    " + escaped(line.strip()) if line else "")
            continue
        example = line.startswith("    ")
        if example and not (result and result[-1].startswith("    ")):
            result += ["::", ""]
        if line and not example and result and result[-1].startswith("    "):
            result.append("")
        result.append(line if example or line.startswith(MARK) else escaped(line))
    return result


def process(app: Any, what: str, name: str, value: Any, options: Any, lines: List[str]) -> None:
    lines[:] = rewritten(lines)


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
