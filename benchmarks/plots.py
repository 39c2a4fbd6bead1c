"""The results as pictures."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter

from .report import Results


def _bytes(value: float, _: Any = None) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:g} {unit}"
        value /= 1024
    return f"{value:g} TiB"


def _seconds(value: float, _: Any = None) -> str:
    for unit in ("s", "ms"):
        if value >= 1:
            return f"{value:g} {unit}"
        value = round(value * 1000, 6)
    return f"{value:g} µs"


#: The colour, the mark and the line of each contender, the same in every picture. This package's
#: are blue: calls and batches, asyncio, and asyncio on another loop.
_CONTENDERS = {
    "fio": ("#4d9221", "s", "-"),
    "stock": ("#8e44ad", "^", "-"),
    "rbd.aio on": ("#0b3c6f", "P", "--"),
    "rbd.aio": ("#56b4e9", "D", "-"),
    "write_blocks": ("#1f6fb4", "v", "--"),
}


def _contender(name: str) -> Tuple[str, str, str]:
    for word, style in _CONTENDERS.items():
        if name.startswith(word):
            return style
    return ("#1f6fb4", "o", "-")


def _curve(curve: Dict[str, Any], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0))
    for name, values in curve["lines"].items():
        medians = [value["median"] for value in values]
        below = [value["median"] - value["least"] for value in values]
        above = [value["most"] - value["median"] for value in values]
        colour, marker, line = _contender(name)
        axes.errorbar(
            curve["points"],
            medians,
            [below, above],
            label=name,
            color=colour,
            marker=marker,
            linestyle=line,
            capsize=3,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(curve["points"])
    written = _bytes if "bytes" in curve["axis"] else (lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(FuncFormatter(written))
    axes.xaxis.set_minor_formatter("")
    if curve["unit"] == "s":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_seconds))
        axes.set_ylabel("time")
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.set_ylabel(curve["unit"])
    axes.set_xlabel(curve["axis"])
    axes.set_title(curve["what"], fontsize=10)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


#: Whether a goal is met. Blue and orange differ for everyone, and in grey too.
_MET, _MISSED, _NO_GOAL = "#1f6fb4", "#e08214", "#a9b7c4"
_KINDS = {_MET: "the goal is met", _MISSED: "the goal is not met", _NO_GOAL: "no goal is set"}

#: The bars of the front page: the row, the peer, and the label for newcomers.
_FRONT = (
    ("call-write", "stock module", "one write of 4 KiB: time in Python"),
    ("aio-read", "stock module", "asyncio reads of 4 KiB, 32 in flight"),
    ("aio-write-burst", "stock module", "asyncio writes into the cache"),
    ("diff", "stock module", "a difference of a million extents"),
    ("import", "stock module", "import of the module"),
    ("batch-read", "fio", "read_blocks, 4 KiB, 32 in flight"),
    ("batch-write-burst", "fio", "write_blocks into the cache"),
    ("aio-read", "fio", "asyncio reads of 4 KiB, 32 in flight"),
    ("export", "rbd command", "export of a sparse image"),
    ("export", "qemu-img", "export of a sparse image"),
    ("export-diff", "rbd command", "export of a difference"),
)


class _Bar(NamedTuple):
    label: str
    times: float  # as good as the peer
    goal: Optional[float]
    met: bool

    @property
    def colour(self) -> str:
        return _NO_GOAL if self.goal is None else _MET if self.met else _MISSED


def _bar(row: Dict[str, Any], peer: str, label: str) -> _Bar:
    found = row["peers"][peer]
    power = 1 if row["more_is_better"] else -1
    goal = found["goal"] ** power if "goal" in found else None
    return _Bar(label, found["ratio"]["median"] ** power, goal, found.get("met", True))


def _times(value: float, _: Any = None) -> str:
    return f"{value:g}x"


def _bars(bars: List[_Bar], path: Path, title: str, *, goals: bool) -> None:
    """Draw how many times as good as each peer a row is, on a logarithmic scale around 1."""
    labels = [textwrap.fill(bar.label, 64) for bar in bars]
    figure, axes = pyplot.subplots(figsize=(9.0, 0.36 * len(bars) + 1.6), layout="constrained")
    at = range(len(bars))
    values = [bar.times for bar in bars]
    colours = [bar.colour if goals else _MET for bar in bars]
    # From 1: a bar to the left is worse than the peer, a bar to the right is better.
    axes.barh(at, [value - 1 for value in values], left=1, color=colours, height=0.7)
    for place, bar in zip(at, bars):
        end = max(bar.times, 1)
        # The mark of a goal that is near would cross the number out.
        if goals and bar.goal is not None and end <= bar.goal < end * 1.5:
            end = bar.goal
        axes.annotate(
            f"{bar.times:.2g}x",
            (end, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        if goals and bar.goal is not None:
            axes.plot([bar.goal] * 2, [place - 0.35, place + 0.35], color="black", linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xlim(min(0.7, *values) * 0.95, max(values) * 1.5)
    axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20, 50]))
    axes.xaxis.set_major_formatter(FuncFormatter(_times))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(at, labels, fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    how = "good" if goals else "fast"
    axes.set_xlabel(f"times as {how} as the peer (1x = equal)", fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    if goals:
        used = {bar.colour for bar in bars}
        handles: List[Any] = [
            Patch(color=colour, label=label) for colour, label in _KINDS.items() if colour in used
        ]
        handles.append(Line2D([], [], color="black", linewidth=1.5, label="the goal"))
        figure.legend(handles=handles, fontsize=8, loc="outside upper center", ncols=len(handles))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _ratios(results: Results, path: Path) -> None:
    """Draw every row and each of its peers, with the goals."""
    bars, before = [], ""
    for row in results["rows"]:
        what = row["what"].replace("the same", before) if before else row["what"]
        if "the same" not in row["what"]:
            before = row["what"].split(", whole process")[0].rsplit(", stubbed")[0]
        bars += [_bar(row, peer, f"{what}, vs. {peer}") for peer in row["peers"]]
    _bars(bars, path, "How many times as fast, or as thrifty with memory, as each peer", goals=True)


def _front(results: Results, path: Path) -> None:
    """Draw fewer bars, without goals, for the front page."""
    rows = {row["name"]: row for row in results["rows"]}
    bars = [
        _bar(rows[name], peer, f"{label}, vs. {peer}")
        for name, peer, label in _FRONT
        if peer in rows.get(name, {"peers": ()})["peers"]
    ]
    if bars:
        _bars(
            bars,
            path,
            "How many times as fast as the stock module, fio, rbd and qemu-img",
            goals=False,
        )


def draw(results: Results, directory: Path) -> List[Path]:
    """Write the picture of the ratios, and one of each curve. Return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    if results["rows"]:
        drawn.append(directory / "benchmarks-ratios.png")
        _ratios(results, drawn[-1])
        drawn.append(directory / "benchmarks-front.png")
        _front(results, drawn[-1])
    for curve in results["curves"]:
        drawn.append(directory / f"benchmarks-{curve['name']}.png")
        _curve(curve, drawn[-1])
    return drawn
