"""Measure the package and its peers on a one-machine cluster, and print a table.

usage: ./dev bench [--tiny] [--json FILE] [--plots DIR] [--table FILE] [--docs] [NAME ...]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Dict, List

from . import report
from .curves import CURVES
from .measure import measure_curve, measure_row
from .place import FULL, TINY, local
from .rows import ROWS

DOCS = Path(__file__).resolve().parents[1] / "docs"


def chosen(names: List[str]) -> List[str]:
    """Return the names of rows and curves; "rows" and "curves" stand for all of each."""
    every = {"rows": [row.name for row in ROWS], "curves": [curve.name for curve in CURVES]}
    known = [*every["rows"], *every["curves"]]
    found: List[str] = []
    for name in names or ["rows", "curves"]:
        if name not in known and name not in every:
            raise SystemExit(f"bench: no {name}; there are rows, curves, {', '.join(known)}")
        found += every.get(name, [name])
    return found


def measure(names: List[str], arguments: argparse.Namespace) -> Dict[str, Any]:
    def say(text: str) -> None:
        print(f"bench: {text}", file=sys.stderr, flush=True)

    scale = TINY if arguments.tiny else FULL
    changed = {
        "rounds": arguments.rounds,
        "curve_rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "curve_seconds": arguments.seconds,
    }
    scale = dataclasses.replace(scale, **{k: v for k, v in changed.items() if v is not None})
    with local(scale) as place:
        return {
            "about": report.about(),
            "rounds": scale.rounds,
            "rows": [measure_row(place, row, say) for row in ROWS if row.name in names],
            "curves": [measure_curve(place, one, say) for one in CURVES if one.name in names],
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="as little as possible, to try it out")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--seconds", type=float, help="how long each throughput is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go")
    parser.add_argument("--table", type=Path, metavar="FILE", help="a page to put it into")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="where the pictures go")
    parser.add_argument(
        "--docs", action="store_true", help="all three, into docs/; what is not named stays"
    )
    parser.add_argument("--from", type=Path, dest="given", metavar="FILE", help="measure nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows, curves, or some of them")
    arguments = parser.parse_args()
    if arguments.docs:
        arguments.json = arguments.json or DOCS / "_data" / "benchmarks.json"
        arguments.table = arguments.table or DOCS / "performance.md"
        arguments.plots = arguments.plots or DOCS / "pictures"
    if arguments.given:
        results = json.loads(arguments.given.read_text())
    else:
        results = measure(chosen(arguments.names), arguments)
    if results["rows"]:
        print(report.table(results))
    if arguments.docs and arguments.names and arguments.json.exists():
        # The other rows and curves in the documentation do not change.
        results = report.merge(json.loads(arguments.json.read_text()), results)
        results = report.in_order(results, chosen([]))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.table:
        page = arguments.table.read_text()
        arguments.table.write_text(report.embed(page, results))
    if arguments.plots:
        from .plots import draw

        draw(results, arguments.plots)
    missed = [
        f"{row['name']} / {name}"
        for row in results["rows"]
        for name, peer in row["peers"].items()
        if not peer.get("met", True)
    ]
    if missed:
        print("bench: goals not met: " + ", ".join(missed), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
