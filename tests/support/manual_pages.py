"""The code blocks of a page of the manual, and how to run them.

The blocks of a page run in order, in one namespace and one directory, as a reader would type them.
Fenced blocks in a language of RUNS are run. A block in `output` is what the previous block has
printed. In a console block, the text after a `$ command` is what that has printed. In both, "..."
stands for any text. A Python block that defines tests is passed to pytest.

HTML comments, which no reader sees, give further instructions:

    <!-- not run: WHY -->        the next block is not run
    <!-- setup CODE -->          Python code to run here
    <!-- needs: rbd_x, program, module numpy -->    else the whole page is skipped
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import rbd

ROOT = Path(__file__).resolve().parents[2]
PYTHON = {"python"}
CONSOLE = {"console"}
OUTPUT = "output"
RUNS = PYTHON | CONSOLE
# The languages of blocks that are only shown. Any other block that is not run must say why.
SHOWN = {"text", "cpp", "cmake", "meson", "ini", "toml", "yaml"}
TOKEN = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>[^\n]*)\n(?P<code>.*?)^ *(?P=fence) *$"
    r"|^ *<!--\s*(?P<comment>.*?)-->",
    re.M | re.S,
)


class PageError(Exception):
    """A page breaks the rules for pages."""


class Block(NamedTuple):
    kind: str  # python, console, or setup
    code: str
    line: int  # the line of its first line of code
    printed: Optional[str] = None
    reason: Optional[str] = None  # why it is not run


def pages() -> List[Path]:
    """Return every page that has blocks."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if any(is_code(match) for _, match in tokens(page))]


def tokens(page: Path) -> Iterator[Tuple[int, re.Match[str]]]:
    text = page.read_text()
    for match in TOKEN.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match


def is_code(match: re.Match[str]) -> bool:
    """Return whether it is a block of code, not a comment or a directive of the manual."""
    return match["fence"] is not None and not match["language"].startswith("{")


def needs(page: Path) -> List[str]:
    """Return what the page needs."""
    found = (match["comment"] or "" for _, match in tokens(page))
    wanted = [comment[len("needs:") :] for comment in found if comment.startswith("needs:")]
    return [word.strip() for line in wanted for word in line.split(",")]


def missing(need: str) -> bool:
    """Return whether a C function, a module or a program is missing."""
    if need.startswith("module "):
        return importlib.util.find_spec(need[len("module ") :]) is None
    return not rbd.supports(need) if need.startswith("rbd_") else shutil.which(need) is None


def blocks(page: Path) -> List[Block]:
    """Return the blocks of a page, in order. Raises PageError."""
    found: List[Block] = []
    reason: Optional[str] = None

    def wrong(line: int, what: str) -> PageError:
        return PageError(f"{page.name}:{line}: {what}")

    for line, match in tokens(page):
        comment, language = match["comment"], (match["language"] or "").strip()
        if comment is not None:
            if comment.startswith("setup"):
                found.append(Block("setup", comment[len("setup") :], line))
            elif comment.startswith("not run"):
                reason = comment[len("not run") :].lstrip(":").strip()
                if not reason:
                    raise wrong(line, "a block is not run for no reason")
            continue
        # A block in a list is indented.
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.M)
        if language == OUTPUT:
            if not found or found[-1].kind not in PYTHON or found[-1].printed is not None:
                raise wrong(line, "an output that is no block's")
            found[-1] = found[-1]._replace(printed=code)
        elif language in RUNS:
            kind = "python" if language in PYTHON else "console"
            found.append(Block(kind, code, line + 1, reason=reason))
        elif is_code(match) and language not in SHOWN:
            raise wrong(line, f"a block in {language or 'no language'}, which nobody runs")
        elif reason is not None and language in SHOWN:
            raise wrong(line, f"a block in {language} needs no reason for not being run")
        reason = None
    return found


def agree(printed: str, expected: str) -> bool:
    """Return whether a text is the expected one, in which "..." stands for any text."""
    parts = [re.escape(part) for part in expected.strip().split("...")]
    return re.fullmatch(".*?".join(parts), printed.strip(), re.S) is not None


def compare(where: str, printed: str, expected: Optional[str]) -> None:
    if expected is not None and not agree(printed, expected):
        raise AssertionError(f"{where} printed\n{printed}\nand not\n{expected}")


def commands(code: str) -> Iterator[Tuple[int, str, str]]:
    """Return the commands of a console block, each with its line in it and its expected output."""
    lines = code.splitlines()
    at = 0
    while at < len(lines):
        start = at
        if not lines[at].startswith("$ "):
            raise PageError(f"{lines[at]!r} follows no command")
        command = lines[at][2:]
        while command.endswith("\\"):
            at += 1
            command = command[:-1] + lines[at]
        at += 1
        output = []
        while at < len(lines) and not lines[at].startswith("$ "):
            output.append(lines[at])
            at += 1
        yield start, command, "\n".join(output)


def run_console(page: Path, block: Block) -> None:
    for line, command, expected in commands(block.code):
        where = f"{page}:{block.line + line}: {command}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(f"{where} ended with {done.returncode}:\n{done.stdout}")
        compare(where, done.stdout, expected or None)


def run_tests(page: Path, tests: List[Block]) -> None:
    """Run tests as a reader would, with a separate cluster."""
    for block in tests:
        Path(f"test_{block.line}.py").write_text(block.code)
    files = [f"test_{block.line}.py" for block in tests]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RBD_TEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *files],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        where = ", ".join(f"{page}:{block.line}" for block in tests)
        raise AssertionError(f"{where}: pytest says\n{done.stdout}")


def run_python(page: Path, block: Block, namespace: Dict[str, Any]) -> None:
    # The blank lines make a traceback show the line of the page.
    code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    compare(f"{page}:{block.line}", printed.getvalue(), block.printed)


def run_page(name: str, conffile: str, directory: str) -> int:
    """Run a page's blocks. Return their number. For a separate process."""
    page = Path(name)
    os.chdir(directory)
    os.environ["CEPH_CONF"] = conffile
    # The commands of this environment, as for a reader who has activated it.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    Path("examples").symlink_to(ROOT / "examples")
    namespace: Dict[str, Any] = {"__name__": "__main__"}
    ran = 0
    together: List[Block] = []
    for block in blocks(page):
        if block.reason is not None:
            continue
        ran += block.kind != "setup"
        if block.kind == "console":
            run_console(page, block)
        elif "rbd_cluster_options" in block.code:
            # The block changes the cluster of its session.
            run_tests(page, [block])
        elif block.kind == "python" and re.search(r"^(async )?def test_", block.code, re.M):
            together.append(block)
        else:
            run_python(page, block, namespace)
    if together:
        run_tests(page, together)
    return ran
