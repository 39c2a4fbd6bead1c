"""Type checkers accept right programs and refuse wrong ones, with the package as installed."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import List, Set, Tuple

import pytest

TYPED = Path(__file__).parent / "typed"
CHECKERS = {
    "mypy": ["--strict", "--config-file="],
    "pyright": ["--pythonpath", sys.executable],
}
#: The form in which each checker names the line of an error.
LINE = {"mypy": r"^[^\n:]*:(\d+): error", "pyright": r":(\d+):\d+ - error"}


def errors(checker: str, file: str, cwd: Path) -> Tuple[Set[int], str]:
    """Return the lines of a file that the checker refuses, and its output."""
    program = Path(sysconfig.get_path("scripts")) / checker
    if not program.exists():
        pytest.skip(f"no {checker}: ./dev check installs it")
    command: List[str] = [str(program), *CHECKERS[checker], str(TYPED / file)]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )
    found = re.findall(LINE[checker], done.stdout, flags=re.M)
    assert bool(found) == (done.returncode != 0), done.stdout + done.stderr
    return {int(number) for number in found}, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_right_uses_are_accepted(checker: str, tmp_path: Path) -> None:
    lines, said = errors(checker, "right.py", tmp_path)
    assert not lines, said


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_wrong_uses_are_refused(checker: str, tmp_path: Path) -> None:
    lines, said = errors(checker, "wrong.py", tmp_path)
    text = (TYPED / "wrong.py").read_text().splitlines()
    assert lines == {i for i, line in enumerate(text, 1) if line.endswith("# WRONG")}, said
