"""Runs rows and curves: each contender in turn, round after round, so that noise affects all."""

from __future__ import annotations

import statistics
from typing import Any, Callable, Dict, List, Sequence

from .curves import Curve
from .place import Place
from .rows import Contender, Row

Say = Callable[[str], None]
Values = Dict[str, List[float]]


def _summary(values: Sequence[float]) -> Dict[str, Any]:
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "values": list(values),
    }


def in_turn(place: Place, contenders: Sequence[Contender], rounds: int) -> Values:
    """Return the value of each contender in each round. The first contender changes."""
    values: Values = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            values[contender.name].append(contender.measure(place))
    return values


def measure_row(place: Place, row: Row, say: Say) -> Dict[str, Any]:
    """Return a row's results for JSON. A ratio is the median of the ratios of the rounds."""
    say(f"{row.name}: {row.what}")
    lacking = {c.name: why for c in row.contenders for why in [c.lacking()] if why}
    able = [c for c in row.contenders if c.name not in lacking]
    values = in_turn(place, able, place.scale.rounds)
    ours = row.contenders[0].name
    peers: Dict[str, Any] = {}
    for contender in able[1:]:
        name = contender.name
        ratios = [own / other for own, other in zip(values[ours], values[name])]
        peers[name] = {**_summary(values[name]), "ratio": _summary(ratios)}
        if name in row.goals:
            peers[name]["goal"] = row.goals[name]
            peers[name]["met"] = row.met(name, peers[name]["ratio"]["median"])
    return {
        "name": row.name,
        "what": row.what,
        "unit": row.unit,
        "more_is_better": row.more_is_better,
        "ours": _summary(values[ours]),
        "peers": peers,
        "lacking": lacking,
    }


def measure_curve(place: Place, curve: Curve, say: Say) -> Dict[str, Any]:
    """Return a curve's results for JSON: the values of each line at each point."""
    say(f"{curve.name}: {curve.what}")
    points = list(curve.points[: place.scale.points])
    lacking = {line.name: why for line in curve.lines for why in [line.lacking()] if why}
    lines: Dict[str, List[Dict[str, Any]]] = {
        line.name: [] for line in curve.lines if line.name not in lacking
    }
    for point in points:
        able = [line.at(point) for line in curve.lines if line.name in lines]
        for name, values in in_turn(place, able, place.scale.curve_rounds).items():
            lines[name].append(_summary(values))
    return {
        "name": curve.name,
        "what": curve.what,
        "axis": curve.axis,
        "unit": curve.unit,
        "points": points,
        "lines": lines,
        "lacking": lacking,
    }
