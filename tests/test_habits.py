"""What the repository asks of commits, of docstrings and of its own workflows."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from support.public_surface import public_classes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "check"))

import subject  # noqa: E402

# Commits


@pytest.mark.parametrize(
    "message",
    [
        "io: clip reads to the image\n\nlibrbd refuses them.\n",
        "docs, cpp: describe the library",
        "test_io: " + "x" * 63,
        "Merge branch 'main'",
        "fixup! io: clip",
        "io: clip\n# a comment of git's\n",
    ],
)
def test_a_good_message(message: str) -> None:
    assert subject.faults(message) == []


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("clip reads to the image", "topic"),
        ("io:clip", "topic"),
        ("", "topic"),
        ("io: " + "x" * 69, "73 characters"),
        ("io: clip.", "full stop"),
        ("io: clip\nat once", "empty"),
    ],
)
def test_a_bad_message(message: str, fault: str) -> None:
    (found,) = subject.faults(message)
    assert fault in found


# Docstrings

ORDER = ["Parameters", "Returns", "Raises", "Notes", "Examples"]


def docstrings() -> Iterator[Tuple[str, str, List[str]]]:
    for place, cls in public_classes():
        for name, value in vars(cls).items():
            text = inspect.getdoc(getattr(cls, name))
            if name.startswith("_") or not text or isinstance(value, property):
                continue
            yield f"{place}.{name}", text, list(inspect.signature(getattr(cls, name)).parameters)


DOCSTRINGS: Dict[str, Any] = {name: rest for name, *rest in docstrings()}


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_sections(name: str) -> None:
    text, parameters = DOCSTRINGS[name]
    lines = text.splitlines()
    headings = [
        above for above, line in zip(lines, lines[1:]) if re.fullmatch("-{3,}", line) and above
    ]
    assert headings == [heading for heading in ORDER if heading in headings], "known, and in order"
    for heading in headings:
        assert lines[lines.index(heading) + 1] == "-" * len(heading)
        assert lines[lines.index(heading) - 1] == ""
    if "Parameters" not in headings:
        return
    start = lines.index("Parameters") + 2
    following = [lines.index(heading) for heading in headings if lines.index(heading) > start]
    section = lines[start : min([*following, len(lines)])]
    named = [
        one.strip()
        for line in section
        if line and not line.startswith((" ", "Implements"))
        for one in line.split(" : ")[0].split(",")
    ]
    assert set(named) <= set(parameters), "what the signature has"


# Workflows


def workflow(name: str) -> Dict[str, str]:
    """The jobs of a workflow, with their text."""
    text = (ROOT / ".github" / "workflows" / name).read_text().partition("\njobs:\n")[2]
    parts = re.split(r"^  (\w+):\n", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def words(text: str, key: str) -> List[str]:
    match = re.search(rf"^ *{key}: \[(.*)\]$", text, re.M)
    assert match, key
    return [word.strip(' "') for word in match.group(1).split(",")]


def test_the_gate_needs_every_job() -> None:
    jobs = workflow("tests.yml")
    needed = words(jobs["gate"], "needs")
    assert sorted(needed) == sorted(set(jobs) - {"gate"})
    assert jobs["gate"].count("success") == len(needed)
    assert "if: always()" in jobs["gate"], "a job that was skipped passes else"


def test_nothing_is_published_without_the_gate() -> None:
    jobs = workflow("wheels.yml")
    assert "uses: ./.github/workflows/tests.yml" in jobs["tests"]
    for job in ("publish", "manual"):
        assert "tests" in words(jobs[job], "needs")
        assert "if: startsWith(github.ref, 'refs/tags/v')" in jobs[job]


def test_the_matrix_has_the_pythons_of_the_wheels() -> None:
    built = re.search(r"^build = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert built
    wheels = [f"3.{minor}" for minor in re.findall(r'"cp3(\w+)-\*"', built.group(1))]
    assert words(workflow("tests.yml")["test"], "python") == wheels


def test_every_job_has_a_limit_of_time() -> None:
    for name, text in workflow("tests.yml").items():
        assert "timeout-minutes:" in text, name
