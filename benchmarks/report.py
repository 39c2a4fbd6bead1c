"""The results as a table for terminals and for the documentation."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any, Dict, List, Sequence

import rbd

Results = Dict[str, Any]

#: The documentation has the table between these lines.
BEGIN, END = "<!-- the table of ./dev bench -->\n", "<!-- the end of the table -->\n"


def about() -> Dict[str, Any]:
    """Return what the results depend on."""
    info = rbd.library_info()
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "date": datetime.date.today().isoformat(),
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        # The load before the first measurement.
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rbd": rbd.__version__,
        "librbd": ".".join(map(str, info.version)),
    }


def number(value: float, unit: str) -> str:
    """Format a value with its unit, to three digits."""
    if unit == "s" and value < 1:
        value, unit = value * 1e3, "ms"
    if unit == "ms" and value < 1:
        value, unit = value * 1e3, "µs"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}"


def spread(summary: Dict[str, Any]) -> str:
    """Return the largest distance of a value from the median."""
    median = summary["median"]
    if not median:
        return ""
    far = max(summary["most"] - median, median - summary["least"])
    return f"±{far / median:.0%}"


def cells(row: Dict[str, Any]) -> List[List[str]]:
    """Return the lines of one row: one for each peer, and for each that could not run."""
    ours = f"{number(row['ours']['median'], row['unit'])} {spread(row['ours'])}"
    lines = []
    for name, peer in row["peers"].items():
        ratio, goal = peer["ratio"], ""
        if "goal" in peer:
            sign = "≥" if row["more_is_better"] else "≤"
            goal = f"{sign} {peer['goal']:g} {'met' if peer['met'] else 'NOT MET'}"
        other = f"{number(peer['median'], row['unit'])} {spread(peer)}"
        low, high = ratio["least"], ratio["most"]
        times = f"{ratio['median']:.2f} ({low:.2f}-{high:.2f})"
        lines.append([row["name"], row["what"], ours, name, other, times, goal])
    for name, why in row["lacking"].items():
        lines.append([row["name"], row["what"], ours, name, why, "", ""])
    return lines


HEADER = ["row", "what", "ours", "peer", "the peer's", "ratio (least-most)", "goal"]


def _all_cells(results: Results) -> List[List[str]]:
    return [line for row in results["rows"] for line in cells(row)]


def table(results: Results) -> str:
    """Return the rows in columns, for a terminal."""
    lines = [HEADER, *_all_cells(results)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )


def markdown(results: Results) -> str:
    """Return the rows as a Markdown table, with a line about their origin."""
    lines = ["| " + " | ".join(HEADER[1:]) + " |", "|" + "---|" * (len(HEADER) - 1)]
    before = ""
    for name, *line in _all_cells(results):
        if name == before:
            # The line above says it already.
            line[0] = line[1] = ""
        before = name
        lines.append("| " + " | ".join(line) + " |")
    lines += ["", *_wheres(results)]
    return "\n".join(lines) + "\n"


def _wheres(results: Results) -> List[str]:
    """Return where and when the rows were measured, with a line for each run."""
    runs: Dict[str, List[str]] = {}
    for row in results["rows"]:
        where = row.get("about", results["about"])
        rounds = row.get("rounds", results["rounds"])
        text = (
            f"on {where['date']}: {where['processors']} processors ({where['processor']}), "
            f"with a load of {where['load']} before; "
            f"{where['system']}, Python {where['python']}, librbd {where['librbd']}, "
            f"rbd {where['rbd']}; {rounds} rounds."
        )
        runs.setdefault(text, []).append(f"`{row['name']}`")
    if len(runs) <= 1:
        return [f"Measured {text}" for text in runs]
    most = max(runs, key=lambda text: len(runs[text]))
    others = [f"{', '.join(rows)}: {text}" for text, rows in runs.items() if text != most]
    return [f"Measured {most} But {'; '.join(others)}"]


def merge(old: Results, new: Results) -> Results:
    """Return the old results, with the rows and curves of the new ones replaced.

    A row that is kept remains with the facts of its own run. A ratio always compares within one
    run.
    """
    merged = dict(new)
    for kind in ("rows", "curves"):
        found = {one["name"]: one for one in new[kind]}
        merged[kind] = []
        for one in old[kind]:
            own = {"about": old["about"], "rounds": old["rounds"], **one}
            merged[kind].append(found.pop(one["name"], own))
        merged[kind] += found.values()
    return merged


def in_order(results: Results, names: Sequence[str]) -> Results:
    """Return the results with rows and curves in that order, without missing ones."""
    place = {name: index for index, name in enumerate(names)}
    ordered = dict(results)
    for kind in ("rows", "curves"):
        known = [one for one in results[kind] if one["name"] in place]
        ordered[kind] = sorted(known, key=lambda one: place[one["name"]])
    return ordered


def embed(page: str, results: Results) -> str:
    """Return a page of the documentation with these results as its table."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return before + BEGIN + markdown(results) + END + after
