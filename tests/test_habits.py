"""The repository's rules for commits, docstrings and workflows."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

import pytest

import rbd

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
def test_a_good_message_passes(message: str) -> None:
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
def test_a_bad_message_is_refused(message: str, fault: str) -> None:
    (found,) = subject.faults(message)
    assert fault in found


# Docstrings

ORDER = ["Parameters", "Returns", "Raises", "Notes", "Examples"]
MODULES = ("aio", "array", "files", "fs", "plot", "rados", "spec", "testing", "transfer")


def public_callables() -> Iterator[Tuple[str, Any]]:
    """Return the functions, methods and constructors of the package that users call."""
    seen: Set[int] = set()
    modules = [("rbd", rbd)]
    for name in MODULES:
        try:
            modules.append((f"rbd.{name}", importlib.import_module(f"rbd.{name}")))
        except ImportError as error:
            # This Python does not have an optional library.
            if str(error.name).startswith("rbd"):
                raise
    for place, module in modules:
        for name in getattr(module, "__all__", None) or dir(module):
            value = getattr(module, name, None)
            own = str(getattr(value, "__module__", "")).startswith("rbd")
            if name.startswith("_") or not own or id(value) in seen or not callable(value):
                continue
            seen.add(id(value))
            if not inspect.isclass(value):
                yield f"{place}.{name}", value
            elif not issubclass(value, BaseException):
                yield from of_class(f"{place}.{name}", value)


def of_class(place: str, cls: type) -> Iterator[Tuple[str, Any]]:
    if inspect.isfunction(vars(cls).get("__init__")):
        yield place, cls
    for name, value in vars(cls).items():
        value = getattr(value, "__func__", value)
        if not name.startswith("_") and not inspect.isclass(value) and callable(value):
            yield f"{place}.{name}", getattr(cls, name)


DOCSTRINGS: Dict[str, Any] = dict(public_callables())


def named_in(section: List[str]) -> List[str]:
    return [
        one.strip().lstrip("*")
        for line in section
        if line and not line.startswith((" ", "Implements"))
        for one in line.split(",")
    ]


def sections(text: str) -> Dict[str, List[str]]:
    """Return the lines of each section. Those before the first section have no name."""
    found: Dict[str, List[str]] = {"": []}
    heading, lines = "", text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""]):
        if re.fullmatch("-{3,}", following) and line:
            assert following == "-" * len(line), line
            assert not found[heading] or not found[heading][-1], f"no empty line before {line}"
            heading = line
            found[heading] = []
        elif not (re.fullmatch("-{3,}", line) and not found[heading]):
            found[heading].append(line)
    return found


def faults_of(text: str, parameters: List[str]) -> List[str]:
    """Return what a docstring lacks of the sections that its call needs."""
    found = sections(text)
    faults = []
    headings = [heading for heading in found if heading]
    if headings != [heading for heading in ORDER if heading in headings]:
        faults.append(f"sections {headings}")
    told = named_in(found.get("Parameters", []))
    faults += [f"parameter {name}" for name in parameters if name not in told]
    faults += [f"no parameter {name}" for name in told if name not in parameters]
    prose = "\n".join([*found[""], *found.get("Notes", [])])
    if re.search(r"\bRaises? (?!an exception)`?[A-Z]\w+", prose):
        faults.append("an exception outside of Raises")
    if re.search(r"\b(Gives|Returns) ", prose):
        faults.append("a result outside of Returns")
    if re.search(r"^\w+: ", prose, re.M) and not re.search(r"^Implements: ", prose, re.M):
        faults.append("a parameter outside of Parameters")
    return faults


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_each_docstring_has_its_sections(name: str) -> None:
    value = DOCSTRINGS[name]
    text = inspect.getdoc(value) or ""
    assert text, "help() must say what it is for"
    called = value.__init__ if inspect.isclass(value) else value
    assert faults_of(text, [n for n in inspect.signature(called).parameters if n != "self"]) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Do it.\n\nParameters\n----------\none\n    A number.", None),
        ("Do it.", "parameter one"),
        ("Do it.\n\nParameters\n----------\none, two\n    Numbers.", "no parameter two"),
        ("Do it. Raises OSError.\n\nParameters\n----------\none\n    A number.", "an exception"),
        ("Do it.\n\nReturns a number.\n\nParameters\n----------\none\n    One.", "a result"),
        (
            "Do it.\n\nReturns\n-------\nTrue.\n\nParameters\n----------\none\n    One.",
            "sections",
        ),
    ],
)
def test_a_docstring_without_a_section_is_found(text: str, fault: Optional[str]) -> None:
    found = faults_of(text, ["one"])
    assert found == [] if fault is None else fault in found[0]


# Workflows


def workflow(name: str) -> Dict[str, str]:
    """Return the jobs of a workflow, with their text."""
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


def test_the_matrix_has_the_python_versions_of_the_wheels() -> None:
    built = re.search(r"^build = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert built
    wheels = [f"3.{minor}" for minor in re.findall(r'"cp3(\w+)-\*"', built.group(1))]
    assert words(workflow("tests.yml")["test"], "python") == wheels


def test_every_job_has_a_time_limit() -> None:
    for name, text in workflow("tests.yml").items():
        assert "timeout-minutes:" in text, name
