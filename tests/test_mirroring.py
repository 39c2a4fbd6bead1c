"""Two clusters mirror each other through rbd-mirror: images are copied, and fail over and back."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
import subprocess
import time
from typing import Any, Callable, Dict, Iterator, NamedTuple, Tuple

import pytest

import rbd
import rbd.rados
from rbd.testing import LocalCluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SIZE = 8 << 20
# A generous limit: most awaited states come within seconds.
PATIENCE = 240.0
JOURNAL = rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL
SNAPSHOT = rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT
FEATURES = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_JOURNALING

# The daemon looks for news at these intervals, in seconds.
CONF = {
    "rbd_mirror_pool_replayers_refresh_interval": 2,
    "rbd_mirror_image_state_check_interval": 2,
    "rbd_mirror_journal_poll_age": 1,
    "rbd_mirror_leader_heartbeat_interval": 1,
    "rbd_mirror_sync_point_update_age": 1,
}
call = rbd.RBD()


class Site(NamedTuple):
    name: str
    ioctx: rbd.rados.Ioctx

    def content(self, image: str) -> bytes:
        with rbd.Image(self.ioctx, image, read_only=True) as opened:
            return bytes(opened.read(0, opened.size()))

    def primary(self, image: str) -> bool:
        with rbd.Image(self.ioctx, image, read_only=True) as opened:
            return bool(opened.mirror_image_get_info()["primary"])

    def status(self, image: str) -> Dict[str, Any]:
        with rbd.Image(self.ioctx, image, read_only=True) as opened:
            return dict(opened.mirror_image_get_status())


def eventually(what: str, condition: Callable[[], Any]) -> Any:
    """Return the value of `condition` once it is true, and raises no rbd.Error."""
    end = time.monotonic() + PATIENCE
    seen: Any = None
    while time.monotonic() < end:
        try:
            seen = condition()
            if seen:
                return seen
        except rbd.Error as error:
            seen = error
        time.sleep(0.3)
    raise AssertionError(f"{what}: not within {PATIENCE:.0f} s; last seen: {seen!r:.300}")


@contextlib.contextmanager
def daemon(cluster: LocalCluster, log: pathlib.Path) -> Iterator[None]:
    """Provide rbd-mirror for a cluster."""
    argv = ["rbd-mirror", "--foreground", "--id", "admin", "--conf", cluster.conffile]
    argv += ["--log-file", str(log), "--admin-socket", ""]
    with (log.with_suffix(".out")).open("wb") as output:
        process = subprocess.Popen(
            argv, env=cluster.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            yield
            assert process.poll() is None, f"rbd-mirror ended; see {log}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuple[Site, Site]]:
    """Provide two sites that are each other's peers, each with a daemon."""
    if shutil.which("rbd-mirror") is None:
        pytest.skip("rbd-mirror is not installed")
    logs = tmp_path_factory.mktemp("rbd-mirror")
    with contextlib.ExitStack() as stack:
        clusters = [stack.enter_context(LocalCluster(conf=CONF)) for _ in range(2)]
        found = []
        for cluster, name in zip(clusters, ("here", "there")):
            rados = stack.enter_context(cluster.connect())
            ioctx = stack.enter_context(rados.open_ioctx("rbd"))
            call.mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
            call.mirror_site_name_set(rados, name)
            found.append(Site(name, ioctx))
        here, there = found
        token = call.mirror_peer_bootstrap_create(here.ioctx)
        call.mirror_peer_bootstrap_import(there.ioctx, rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX, token)
        for cluster, site in zip(clusters, found):
            stack.enter_context(daemon(cluster, logs / f"{site.name}.log"))
        yield here, there


def write(site: Site, image: str, mode: int, data: bytes, offset: int) -> None:
    with rbd.Image(site.ioctx, image) as opened:
        opened.write(data, offset)
        opened.flush()
        if mode == SNAPSHOT:
            opened.mirror_image_create_snapshot()


def fail_over(image: str, source: Site, destination: Site) -> None:
    """Hand the role of the primary over. Nothing is forced, so nothing is lost."""
    with rbd.Image(source.ioctx, image) as opened:
        opened.mirror_image_demote()

    def promoted() -> bool:
        with rbd.Image(destination.ioctx, image) as opened:
            opened.mirror_image_promote(False)
        return True

    eventually(f"promotion {destination.name}", promoted)
    assert destination.primary(image)
    assert not source.primary(image)


def mend_split_brain(site: Site, image: str) -> None:
    """Copy again if Ceph 14's daemon takes a role that was handed over for a split brain."""
    if rbd.supports("rbd_mirror_image_get_global_status"):
        return
    if "split-brain" in site.status(image)["description"]:
        with rbd.Image(site.ioctx, image) as opened:
            opened.mirror_image_resync()


def same(image: str, sites: Tuple[Site, Site], part: bytes) -> Callable[[], bool]:
    def condition() -> bool:
        for site in sites:
            mend_split_brain(site, image)
        first, second = (site.content(image) for site in sites)
        return part in first and first == second

    return condition


def check_report(here: Site, there: Site, image: str) -> None:
    """Check the report of the other site about its copy."""

    def reported() -> bool:
        return any(remote["up"] for remote in here.status(image)["remote_statuses"])

    eventually("the other site's report", reported)
    (remote,) = here.status(image)["remote_statuses"]
    assert set(remote) == {"mirror_uuid", "state", "description", "last_update", "up"}
    assert remote["mirror_uuid"] == call.mirror_uuid_get(there.ioctx)


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(JOURNAL, id="journal"),
        pytest.param(
            SNAPSHOT, id="snapshot", marks=pytest.mark.needs("rbd_mirror_image_create_snapshot2")
        ),
    ],
)
def test_images_fail_over_and_back(sites: Tuple[Site, Site], mode: int) -> None:
    here, there = sites
    image = f"mirrored-{secrets.token_hex(4)}"
    call.create(here.ioctx, image, SIZE, order=20, features=FEATURES)
    with rbd.Image(here.ioctx, image) as opened:
        opened.mirror_image_enable(mode)
    data = [os.urandom(1 << 20) for _ in range(3)]

    write(here, image, mode, data[0], 0)
    eventually("the copy there", same(image, sites, data[0]))
    assert here.primary(image)
    assert not there.primary(image)

    if rbd.supports("rbd_mirror_image_get_global_status"):
        check_report(here, there, image)
    replaying = eventually(
        "the replay there",
        lambda: (
            status
            if (status := there.status(image))["state"] == rbd.MIRROR_IMAGE_STATUS_STATE_REPLAYING
            else None
        ),
    )
    assert replaying["up"] is True
    assert replaying["last_update"].year > 2020
    with rbd.Image(there.ioctx, image, read_only=True) as opened:
        instance = opened.mirror_image_get_instance_id()
        assert (opened.id(), instance) in list(call.mirror_image_instance_id_list(there.ioctx))
    # The pool's count forgets an image while the daemon renews its watch.
    eventually(
        "the pool's count of replaying images",
        lambda: dict(call.mirror_image_status_summary(there.ioctx)).get(
            rbd.MIRROR_IMAGE_STATUS_STATE_REPLAYING, 0
        ),
    )

    fail_over(image, here, there)
    with pytest.raises((rbd.ReadOnlyImage, rbd.PermissionError)):
        write(here, image, mode, b"x", 0)
    write(there, image, mode, data[1], 2 << 20)
    eventually("the copy here", same(image, sites, data[1]))

    fail_over(image, there, here)
    write(here, image, mode, data[2], 4 << 20)
    eventually("the copy there again", same(image, sites, data[2]))
    content = here.content(image)
    assert [content[i << 21 : (i << 21) + (1 << 20)] for i in range(3)] == data

    with rbd.Image(here.ioctx, image) as opened:
        opened.mirror_image_disable(False)
    # Ceph 14's daemon forgets a copy whose source has been copied again.
    if rbd.supports("rbd_mirror_image_create_snapshot"):
        eventually("the end of the copy", lambda: image not in call.list(there.ioctx))
    call.remove(here.ioctx, image)
