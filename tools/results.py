"""The results of a run of the release matrix: counts, problems and table."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tools import roots

FILE = roots.REPOSITORY / "docs" / "_data" / "matrix.json"
README = roots.REPOSITORY / "README.md"
BEGIN = "<!-- begin compatibility: made by ./dev matrix -->"
END = "<!-- end compatibility -->"

# The beginning of a chosen skip's reason: see tools/left_out.py.
LEFT_OUT = "left out: "


@dataclass
class Result:
    """The result of one release's run."""

    ceph: str
    name: str
    suite: str
    python: str
    librbd: str
    status: str = "not run"
    reason: str = ""
    ceph_version: str = ""
    python_version: str = ""
    librbd_version: str = ""
    missing: list[str] = field(default_factory=list)
    gil: bool = True
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    skips: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def problems(self, *, skips_need_cause: bool = True) -> list[str]:
        """Return what is wrong with this release."""
        if self.status == "unreachable":
            return []
        if self.status != "tested":
            return [f"{self.status}: {self.reason}"]
        found = [f"failed: {name}" for name in self.failures]
        if skips_need_cause:
            found += [f"skipped without a cause: {why}" for why in unexplained(self)]
        if self.librbd_version != self.librbd:
            found.append(f"has librbd {self.librbd_version}, the data file says {self.librbd}")
        if not self.passed:
            found.append("ran no test")
        return found

    def left_out(self) -> dict[str, int]:
        """Return how many tests were left out, by reason."""
        mark = LEFT_OUT
        return {why[len(mark) :]: n for why, n in self.skips.items() if why.startswith(mark)}

    def counts(self) -> str:
        """Return the numbers in a few words, or why there are none."""
        if self.status != "tested":
            return self.status
        return f"{self.passed} / {self.skipped - sum(self.left_out().values())} / {self.failed}"


@dataclass
class Wheel:
    """The one wheel that is tested with each release."""

    file: str
    size: int
    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class Floors:
    """The build with the oldest tools: their versions, and the core tests of the result."""

    tools: dict[str, str]
    result: Result | None = None
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return its sentence in README."""
        names = {"cmake": "CMake", "gcc": "GCC", "clang": "Clang"}
        tools = [f"{names.get(tool, tool)} {version}" for tool, version in self.tools.items()]
        where = f" on Debian {self.result.suite}" if self.result else ""
        counts = self.result.counts() if self.result else "not built"
        return f"The oldest tools{where} ({', '.join(sorted(tools, key=str.lower))}): {counts}."


@dataclass
class Architecture:
    """The build on another processor, and the core tests there."""

    machine: str
    emulated: bool
    files: list[str]
    result: Result
    problems: list[str] = field(default_factory=list)

    def called(self) -> str:
        """Return the processor's name in the table."""
        return f"{self.machine} ({'emulated' if self.emulated else 'not emulated'})"

    def line(self) -> str:
        """Return the sentence in README about what was left out."""
        left = [f"{count} ({why})" for why, count in self.result.left_out().items()]
        return f"Left out on {self.called()}: {'; '.join(left) or 'nothing'}."


@dataclass
class Published:
    """One of the wheels to publish, or why there is none."""

    tag: str
    machine: str
    file: str = ""
    size: int = 0
    reason: str = ""
    problems: list[str] = field(default_factory=list)

    def built(self) -> str:
        """Return the oldest C library that the wheel supports, as a cell of a table."""
        if self.problems:
            return "failed"
        versions = re.findall(r"manylinux_(\d+)_(\d+)_", self.file)
        oldest = min((tuple(map(int, version)) for version in versions), default=())
        return f"glibc {'.'.join(map(str, oldest))}" if oldest else "-"


@dataclass
class Run:
    """A whole run, with the parts of tools/matrix.py."""

    releases: list[Result]
    wheel: Wheel | None = None
    older: Result | None = None
    free_threading: Result | None = None
    floors: Floors | None = None
    architectures: list[Architecture] = field(default_factory=list)
    wheels: list[Published] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Return everything that went wrong, each with its release."""
        found = [f"Ceph {one.ceph}: {text}" for one in self.releases for text in one.problems()]
        if self.wheel:
            found += [f"{self.wheel.file}: {text}" for text in self.wheel.problems]
            for one in self.wheel.results:
                # A stock module for another Python is not a fault of the wheel.
                texts = one.problems(skips_need_cause=False)
                found += [f"{self.wheel.file} on Ceph {one.ceph}: {text}" for text in texts]
        if self.older:
            texts = self.older.problems(skips_need_cause=False)
            found += [f"librbd {self.older.librbd} on {self.older.suite}: {text}" for text in texts]
        if self.free_threading:
            texts = self.free_threading.problems(skips_need_cause=False)
            if self.free_threading.gil and self.free_threading.status == "tested":
                texts.append("the lock is on once rbd is imported")
            found += [f"free-threading: {text}" for text in texts]
        if self.floors:
            texts = list(self.floors.problems)
            if self.floors.result:
                # The core tests were chosen for the wheel, and so were their skips.
                texts += self.floors.result.problems(skips_need_cause=False)
            found += [f"oldest tools: {text}" for text in texts]
        for processor in self.architectures:
            texts = processor.problems + processor.result.problems(skips_need_cause=False)
            found += [f"{processor.machine}: {text}" for text in texts]
        for made in self.wheels:
            found += [f"wheel {made.tag}-{made.machine}: {text}" for text in made.problems]
        return found

    def table(self) -> str:
        """Return the Markdown table."""
        on_wheel = {one.suite: one.counts() for one in (self.wheel.results if self.wheel else [])}
        head = ["Ceph", "librbd", "Debian", "Python", "C functions missing", "tests"]
        if self.wheel:
            head.append(f"tests with the {self.wheel.file.split('-')[2]} wheel")
        rows = [head, ["---"] * len(head)]
        for one in self.releases:
            tested = one.status == "tested"
            row = [f"{one.ceph_version or one.ceph} {one.name}", one.librbd_version or one.librbd]
            row += [one.suite, one.python_version or one.python]
            row += [str(len(one.missing)) if tested else "", one.counts()]
            if self.wheel:
                row.append(on_wheel.get(one.suite, ""))
            rows.append(row)
        for processor in self.architectures:
            one = processor.result
            row = [f"{one.ceph_version or one.ceph} {one.name}", one.librbd_version or one.librbd]
            row += [f"{one.suite.split('-')[0]}, {processor.called()}"]
            row += [one.python_version or one.python, str(len(one.missing)) if one.passed else ""]
            row += [f"core: {one.counts()}"] + [""] * (len(head) - len(row) - 1)
            rows.append(row)
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        note = "Tests: passed / skipped because a C function is missing / failed."
        if self.wheel:
            note += f" The wheel takes {self.wheel.size / 1e6:.2f} MB; its tests are the core ones."
        lines += ["", note]
        if self.older:
            lines.append(
                f"The wheel over librbd {self.older.librbd_version} (`RBD_LIBRARY`) on Debian "
                f"{self.older.suite}, with Ceph {self.older.ceph_version}: {self.older.counts()}."
            )
        if self.free_threading:
            one = self.free_threading
            lines.append(
                f"Free-threaded CPython {one.python_version} with Ceph {one.ceph_version}: "
                f"{one.counts()}."
            )
        if self.floors:
            lines.append(self.floors.line())
        lines += [processor.line() for processor in self.architectures]
        if self.wheels:
            lines += ["", *self.wheel_table()]
        return "\n".join(lines)

    def wheel_table(self) -> list[str]:
        """Return the lines of the table of wheels to publish, with the reasons for gaps."""
        tags = list(dict.fromkeys(made.tag for made in self.wheels))
        cells = {(made.machine, made.tag): made.built() for made in self.wheels}
        rows = [["wheels", *tags], ["---"] * (len(tags) + 1)]
        for machine in dict.fromkeys(made.machine for made in self.wheels):
            rows.append([machine, *(cells.get((machine, tag), "") for tag in tags)])
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        gaps = [f"{made.tag}-{made.machine} ({made.reason})" for made in self.wheels if made.reason]
        note = "Each cell: the oldest C library that the wheel serves."
        if gaps:
            note += f" Not built without containers: {', '.join(gaps)}."
        return [*lines, "", note]

    def save(self, file: Path = FILE, readme: Path = README) -> None:
        """Keep the run, and put its table into README."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=2) + "\n")
        readme.write_text(self.into(readme.read_text()))

    def into(self, page: str) -> str:
        """Return a page with its compatibility table replaced."""
        pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
        if not pattern.search(page):
            raise roots.RootError(f"the page has no place for the table: {BEGIN} ... {END}")
        return pattern.sub(lambda _: f"{BEGIN}\n{self.table()}\n{END}", page)


def load(file: Path = FILE) -> Run:
    """Return the last whole run."""
    data = json.loads(file.read_text())
    wheel = data["wheel"]
    if wheel:
        wheel = Wheel(**{**wheel, "results": [Result(**one) for one in wheel["results"]]})
    older, free = (data[part] and Result(**data[part]) for part in ("older", "free_threading"))
    floors = data.get("floors")
    if floors:
        tested = floors["result"] and Result(**floors["result"])
        floors = Floors(**{**floors, "result": tested})
    architectures = [
        Architecture(**{**one, "result": Result(**one["result"])})
        for one in data.get("architectures", [])
    ]
    releases = [Result(**one) for one in data["releases"]]
    wheels = [Published(**one) for one in data.get("wheels", [])]
    return Run(releases, wheel, older, free, floors, architectures, wheels)


def keep(run: Run, parts: Sequence[str], file: Path = FILE, readme: Path = README) -> None:
    """Keep the parts that were run, with the kept results of other parts and releases."""
    kept = load(file) if file.exists() else Run([])
    if "releases" in parts:
        # Each release stays in its place.
        by_suite = {one.suite: one for one in [*kept.releases, *run.releases]}
        kept.releases = list(by_suite.values())
    if "wheel" in parts:
        kept.wheel = run.wheel
    if "older" in parts:
        kept.older = run.older
    if "free-threading" in parts:
        kept.free_threading = run.free_threading
    if "floors" in parts:
        kept.floors = run.floors
    if "architectures" in parts:
        kept.architectures = run.architectures
    if "wheels" in parts:
        kept.wheels = run.wheels
    kept.save(file, readme)


# Skips that are right on a release: torch is in no extra of the package, and one test compares with
# the oldest release that has all of the stock module `rados`.
ADMITTED = ("could not import 'torch'", "some of the steps are made with Ceph 16 alone")


def unexplained(result: Result) -> list[str]:
    """Return the skip reasons that do not name a C function which is really missing."""
    absent = set(result.missing)
    named = {why: set(re.findall(r"\b(?:rbd|rados)_\w+", why)) for why in result.skips}
    return [
        why
        for why, functions in named.items()
        if not (absent & functions or why.startswith(ADMITTED))
    ]


def read_report(result: Result, report: Path) -> None:
    """Count one JUnit report."""
    skips: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            result.failures.append(f"{case.get('classname')}::{case.get('name')}")
        elif "skipped" in kinds:
            skips[kinds["skipped"].get("message") or "no reason given"] += 1
        else:
            result.passed += 1
    result.failed = len(result.failures)
    result.skipped = sum(skips.values())
    result.skips = dict(sorted(skips.items()))
