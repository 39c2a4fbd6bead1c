"""Run the long form of each test file that has one, and put its figures into the manual.

Usage:
    python -m tools.soak [TOPIC ...]    run them, or those named (model: tests/test_model.py)
    python -m tools.soak --list         print the topics
    python -m tools.soak --table        print the table of what has passed
    python -m tools.soak --write        put that table into docs/reliability.md

The files are those that import SOAK from tests/support/location.py. Each passes or fails alone.
Passed ones are kept in docs/_data/soak.json, with the figures that the tests note
(tests/support/figures.py).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = Path("docs", "_data", "soak.json")
PAGE = Path("docs", "reliability.md")
START, END = "<!-- figures: ./dev soak -->", "<!-- end of figures -->"


def topics(root: Path = ROOT) -> list[str]:
    """Return the topics whose tests have a long form."""
    pattern = re.compile(r"^from support\.location import (\([^)]*|.*)\bSOAK\b", re.M)
    paths = (root / "tests").glob("test_*.py")
    found = [path.stem for path in paths if pattern.search(path.read_text(encoding="utf-8"))]
    return sorted(stem[len("test_") :] for stem in found)


def collect(lines: str) -> dict[str, float]:
    """Return the sums of the figures that tests noted."""
    figures: dict[str, float] = {}
    for line in lines.splitlines():
        what, number = json.loads(line)
        figures[what] = figures.get(what, 0) + number
    return figures


def versions() -> dict[str, str]:
    """Return the tested versions."""
    code = "import platform, rbd; print(*rbd.library_info().version, platform.python_version())"
    *library, python = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    ceph = subprocess.run(["ceph", "--version"], capture_output=True, text=True).stdout.split()
    return {"ceph": ceph[2] if len(ceph) > 2 else ".".join(library), "python": python}


def run(topic: str, root: Path, arguments: Sequence[str] = ()) -> dict[str, Any] | None:
    """Run one topic's tests in their long form. Return what to keep, or None if one failed."""
    with tempfile.TemporaryDirectory() as directory:
        figures, report = Path(directory, "figures"), Path(directory, "report.xml")
        figures.touch()
        start = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", f"tests/test_{topic}.py"]
        status = subprocess.run(
            [*command, f"--junitxml={report}", *arguments],
            cwd=root,
            env={**os.environ, "RBD_SOAK": "1", "RBD_FIGURES": str(figures)},
        ).returncode
        if status != 0:
            return None
        (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
        return {
            "date": datetime.date.today().isoformat(),
            **versions(),
            "minutes": round((time.monotonic() - start) / 60, 1),
            "tests": int(suite.get("tests", 0)) - int(suite.get("skipped", 0)),
            "figures": collect(figures.read_text(encoding="utf-8")),
        }


def load(root: Path = ROOT) -> dict[str, Any]:
    """Return what has passed so far, by topic."""
    path = root / DATA
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def number(value: float) -> str:
    return f"{value:,.10g}"


def table(results: Mapping[str, Any]) -> str:
    """Return the table of the page."""
    lines = ["| tests | what was done | Ceph, Python | minutes |", "|---|---|---|---|"]
    for topic, one in sorted(results.items()):
        done = "; ".join(f"{what}: {number(value)}" for what, value in one["figures"].items())
        lines.append(
            f"| `test_{topic}.py` ({one['tests']}) | {done} | {one['ceph']}, {one['python']} "
            f"| {one['minutes']} |"
        )
    return "\n".join(lines)


def page(text: str, results: Mapping[str, Any]) -> str:
    """Return the page with the table of these results."""
    before, rest = text.split(START)
    return f"{before}{START}\n\n{table(results)}\n\n{END}{rest.split(END)[1]}"


def keep(topic: str, result: Mapping[str, Any], root: Path = ROOT) -> None:
    """Keep the result of a run, and write the page again."""
    text = json.dumps(dict(sorted({**load(root), topic: result}.items())), indent=1)
    (root / DATA).parent.mkdir(parents=True, exist_ok=True)
    (root / DATA).write_text(text + "\n", encoding="utf-8")
    write_page(root)


def write_page(root: Path = ROOT) -> None:
    """Write the page's table again."""
    path = root / PAGE
    path.write_text(page(path.read_text(encoding="utf-8"), load(root)), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.split("\n")[0])
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="of tests/test_TOPIC.py")
    parser.add_argument("--list", action="store_true", help="print the topics that there are")
    parser.add_argument("--table", action="store_true", help="print the table of what has passed")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    chosen = parser.parse_args(arguments)
    known = topics(ROOT)
    unknown = sorted({*chosen.topics} - {*known})
    if unknown:
        parser.error(f"no long form of {', '.join(unknown)}; there is {', '.join(known)}")
    if chosen.list:
        print(*known, sep="\n")
    elif chosen.table:
        print(table(load()))
    elif chosen.write:
        write_page()
    else:
        # The exception also ends the tests that are under way.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        failed = []
        for topic in chosen.topics or known:
            result = run(topic, ROOT)
            if result is None:
                failed.append(topic)
            else:
                keep(topic, result)
        if failed:
            print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return bool(failed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
