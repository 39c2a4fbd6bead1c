"""The main job in one page: an array goes into an image, a snapshot and a clone, and back.

python -m rbd.testing -- python examples/quickstart.py      on a one-machine Ceph
CEPH_CONF=/etc/ceph/ceph.conf python examples/quickstart.py on your cluster (pool `rbd`)
"""

from __future__ import annotations

import uuid

import numpy as np

import rbd

POOL = "rbd"
MIB = 1 << 20


def step(text: str, passed: bool = True) -> None:
    """Print what was done. Stop if its check failed."""
    print(f"{'ok  ' if passed else 'FAIL'} {text}", flush=True)
    if not passed:
        raise SystemExit(1)


def main() -> None:
    """Run each step against the cluster that CEPH_CONF names."""
    name = f"quickstart-{uuid.uuid4().hex[:8]}"
    copy = f"{name}-clone"
    data = np.random.default_rng(1).standard_normal((1024, 1024))
    driver = rbd.RBD()

    with rbd.connect() as cluster, cluster.open_ioctx(POOL) as ioctx:
        step(f"connected to cluster {cluster.get_fsid()}, librbd {driver.version()}")
        driver.create(ioctx, name, 64 * MIB)
        try:
            with rbd.Image(ioctx, name) as image:
                step(f"created image {name}", image.size() == 64 * MIB)

                written = image.write(data, 0)
                image.flush()
                step(f"wrote a {data.shape} {data.dtype} array", written == data.nbytes)

                image.create_snap("first")
                image.protect_snap("first")
                step("took snapshot 'first'", [s["name"] for s in image.list_snaps()] == ["first"])

                zeros = np.zeros(256 * 1024, np.uint8)
                image.write(zeros, 5 * MIB)
                changes: list[tuple[int, int, bool]] = []
                image.diff_iterate(0, image.size(), "first", lambda *extent: changes.append(extent))
                for offset, length, exists in changes:
                    kind = "data" if exists else "zeros"
                    step(f"changed since 'first': {length} bytes at {offset} ({kind})")
                step("the diff holds what was written", covers(changes, 5 * MIB, zeros.nbytes))

            driver.clone(ioctx, name, "first", ioctx, copy)
            try:
                with rbd.Image(ioctx, copy) as clone:
                    step(f"cloned it to {copy}", clone.size() == 64 * MIB)
                    back = np.empty_like(data)
                    count = clone.readinto(back, 0)
                    step(f"read {count} bytes back through the clone", count == data.nbytes)
                    step("data verified", np.array_equal(back, data))
            finally:
                driver.remove(ioctx, copy)
        finally:
            clean_up(driver, ioctx, name)
        left = {name, copy} & set(driver.list(ioctx))
        step("cleaned up", not left)


def covers(changes: list[tuple[int, int, bool]], offset: int, length: int) -> bool:
    """Return whether the changed extents cover one range, without reaching beyond its object."""
    start = min((extent[0] for extent in changes), default=-1)
    end = max((extent[0] + extent[1] for extent in changes), default=-1)
    object_start = offset // (4 * MIB) * (4 * MIB)
    return object_start <= start <= offset and offset + length <= end <= object_start + 4 * MIB


def clean_up(driver: rbd.RBD, ioctx: rbd.rados.Ioctx, name: str) -> None:
    """Remove the image and its snapshots."""
    with rbd.Image(ioctx, name) as image:
        for snapshot in list(image.list_snaps()):
            if image.is_protected_snap(snapshot["name"]):
                image.unprotect_snap(snapshot["name"])
            image.remove_snap(snapshot["name"])
    driver.remove(ioctx, name)


if __name__ == "__main__":
    main()
