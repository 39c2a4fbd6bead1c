#!/usr/bin/env python3
"""A chain of incremental backups of one image, made and restored with rbd.transfer alone.

    backup.py save rbd/vm1 backups/vm1       # the first time all of it, then what has changed
    backup.py restore backups/vm1 rbd/vm1-restored

Each run takes a snapshot and writes the difference to the one before: a file for each run, which
has its name when it is whole, and an entry with its checksum in the list of the chain. The snapshot
before is then no longer needed. A restored image has the snapshots of all runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, Iterator, List, Optional

import rbd
from rbd import transfer
from rbd.spec import ImageSpec, open_ioctx

PREFIX = "backup-"


def read_list(directory: Path) -> List[Dict[str, Optional[str]]]:
    """The runs of the chain, oldest first."""
    path = directory / "chain.json"
    return json.loads(path.read_text()) if path.exists() else []


def write_list(directory: Path, runs: List[Dict[str, Optional[str]]]) -> None:
    """Replaces the list in one step."""
    new = directory / "chain.json.new"
    with new.open("w") as file:
        json.dump(runs, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    new.replace(directory / "chain.json")


def save(spec: ImageSpec, directory: Path, bar: bool) -> None:
    """Adds one run to the chain."""
    directory.mkdir(parents=True, exist_ok=True)
    runs = read_list(directory)
    start = runs[-1]["snapshot"] if runs else None
    end = PREFIX + datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    with open_ioctx(spec) as ioctx:
        with rbd.Image(ioctx, spec.image) as image:
            there = {snapshot["name"] for snapshot in image.list_snaps()}
            if start is not None and start not in there:
                sys.exit(f"{spec} has no snapshot {start}: the chain cannot go on")
            image.create_snap(end)
        file = directory / f"{end}.diff"
        try:
            with rbd.Image(ioctx, spec.image, snapshot=end, read_only=True) as image:
                digest = transfer.export_diff(image, file, start, checksum="sha256", progress=bar)
        except BaseException:
            with rbd.Image(ioctx, spec.image) as image:
                image.remove_snap(end)
            raise
        write_list(directory, [*runs, {"snapshot": end, "file": file.name, "sha256": digest}])
        # From here on the chain starts at the new snapshot; the others of it are not needed.
        with rbd.Image(ioctx, spec.image) as image:
            for old in runs:
                if old["snapshot"] in there:
                    image.remove_snap(old["snapshot"])
    print(f"{file}: {file.stat().st_size} bytes, sha256 {digest}")


@contextlib.contextmanager
def new_image(spec: ImageSpec) -> Iterator[rbd.Image]:
    """An image that is removed again where the restoring fails."""
    with open_ioctx(spec) as ioctx:
        rbd.RBD().create(ioctx, spec.image, 0)
        try:
            with rbd.Image(ioctx, spec.image) as image:
                try:
                    yield image
                except BaseException:
                    for snapshot in list(image.list_snaps()):
                        image.remove_snap(snapshot["name"])
                    raise
        except BaseException:
            rbd.RBD().remove(ioctx, spec.image)
            raise


def restore(directory: Path, spec: ImageSpec, bar: bool) -> None:
    """Makes a new image from all runs of the chain."""
    with new_image(spec) as image:
        for run in read_list(directory):
            digest = transfer.import_diff(
                directory / str(run["file"]), image, checksum="sha256", progress=bar
            )
            if digest != run["sha256"]:
                raise SystemExit(f"{run['file']} is not what was saved: its checksum differs")
    print(f"{spec} restored")


def merge(directory: Path) -> None:
    """Makes one run of the whole chain, which takes less space and restores in one step."""
    runs = read_list(directory)
    whole = directory / str(runs[0]["file"])
    digest = runs[0]["sha256"]
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        for number, run in enumerate(runs[1:]):
            merged = Path(temporary) / f"{number}.diff"
            digest = transfer.merge_diff(
                whole, directory / str(run["file"]), merged, checksum="sha256"
            )
            whole = merged
        name = f"{runs[-1]['snapshot']}.merged.diff"
        if whole.parent != directory:
            whole.replace(directory / name)
            last = {"snapshot": runs[-1]["snapshot"], "file": name, "sha256": digest}
            write_list(directory, [last])
            for run in runs:
                (directory / str(run["file"])).unlink()
    print(f"{directory}: one run left")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bar", action="store_true", help="draw a bar, where tqdm is installed")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, arguments in (
        ("save", ("image", "directory")),
        ("restore", ("directory", "image")),
        ("merge", ("directory",)),
    ):
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument, type=ImageSpec.parse if argument == "image" else Path)
    given = parser.parse_args()
    if given.command == "save":
        save(given.image, given.directory, given.bar)
    elif given.command == "restore":
        restore(given.directory, given.image, given.bar)
    else:
        merge(given.directory)


if __name__ == "__main__":
    main()
