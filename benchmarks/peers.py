"""The programs with which the package is compared."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Union

from .place import Ended, Place, fio_has_rbd, run, stock_python

# Returns why a contender cannot run here, or None if it can.
Lacking = Callable[[], Optional[str]]


def always() -> Optional[str]:
    return None


def stock() -> Optional[str]:
    return None if stock_python() else "no interpreter with the stock rbd module (python3-rbd)"


def fio() -> Optional[str]:
    return None if fio_has_rbd() else "no fio with an rbd engine"


def uvloop() -> Optional[str]:
    return None if importlib.util.find_spec("uvloop") else "no uvloop"


def program(name: str) -> Lacking:
    return lambda: None if shutil.which(name) else f"no {name}"


def qemu_img() -> Optional[str]:
    """Return what qemu-img lacks to open images: itself, or its module for them."""
    if not shutil.which("qemu-img"):
        return "no qemu-img"
    # Without monitors, a qemu-img that has the module fails at once too, in another way.
    command = ["qemu-img", "info", "rbd:no-pool/no-image:conf=/dev/null"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return "qemu-img has no module for rbd" if "Unknown protocol" in done.stderr else None


def _run_fio(place: Place, image: str, env: Mapping[str, str], *options: str) -> Ended:
    command = ["fio", "--name=job", "--ioengine=rbd", "--clientname=admin", f"--pool={place.pool}"]
    command += [f"--rbdname={image}", *options, "--norandommap", "--output-format=json"]
    return run(command, {**place.cluster.env, **env})


def _job(ended: Ended, op: str) -> Dict[str, Any]:
    # librbd may have printed something before the report.
    report = json.loads(ended.output[ended.output.index("{") :])
    return report["jobs"][0][op]  # type: ignore[no-any-return]


def fio_rate(
    place: Place,
    image: str,
    op: str,
    *,
    block: int = 4096,
    depth: int = 32,
    seconds: float,
    burst: int = 0,
) -> float:
    """Return the blocks per second of fio's rbd engine, at random offsets: for a time, or in a
    burst."""
    options = [f"--rw=rand{op}", f"--bs={block}", f"--iodepth={depth}"]
    if burst:
        options += [f"--number_ios={burst}"]
    else:
        options += ["--time_based", f"--runtime={int(seconds * 1000)}ms"]
    env = place.writeback if burst else {}
    return float(_job(_run_fio(place, image, env, *options), op)["iops"])


def fio_run(
    place: Place, image: str, op: str, *, block: int = 4096, flight: int, count: int, region: int
) -> Dict[str, float]:
    """Return the result of fio's rbd engine for the arguments of the worker `loop`.

    With `processor`, return the processor time of the whole process in seconds.
    """
    options = [f"--bs={block}", f"--iodepth={flight}", "--lat_percentiles=1"]
    if region:
        options += [f"--rw={op}", f"--size={region}", f"--io_size={count * block}"]
    else:
        options += [f"--rw=rand{op}", f"--number_ios={count}"]
    ended = _run_fio(place, image, place.writeback if region else {}, *options)
    job = _job(ended, op)
    if job["total_ios"] != count:
        raise RuntimeError(f"fio did {job['total_ios']} operations in place of {count}")
    percentiles = job["lat_ns"]["percentile"]
    return {
        "value": float(job["iops"]),
        "median": percentiles["50.000000"] / 1e9,
        "p99": percentiles["99.000000"] / 1e9,
        "processor": ended.processor,
    }


def rbd_command(
    place: Place, *arguments: Union[str, object], piped: Optional[Path] = None
) -> Ended:
    """Run the `rbd` command, silently."""
    return run(["rbd", "--no-progress", *map(str, arguments)], place.cluster.env, piped)


def qemu_convert(place: Place, source: object, dest: object) -> Ended:
    """Run `qemu-img convert` between files and images."""
    command = ["qemu-img", "convert", "-f", "raw", "-O", "raw", str(source), str(dest)]
    return run(command, place.cluster.env)


def qemu_name(place: Place, image: str) -> str:
    """Return qemu-img's name of an image."""
    return f"rbd:{place.pool}/{image}:conf={place.cluster.conffile}"
