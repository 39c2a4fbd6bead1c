"""Code that a program must not write: both type checkers must refuse each marked line."""

from __future__ import annotations

import rbd
from rbd import rados


def wrong(ioctx: rados.Ioctx, cluster: rados.Rados, image: rbd.Image) -> None:
    tool = rbd.RBD()
    tool.create(cluster, "a", 1)  # WRONG
    tool.create(ioctx, 3, 1)  # WRONG
    tool.create(ioctx, "a", "1")  # WRONG
    tool.create(ioctx, "a", 1.5)  # WRONG
    tool.list("rbd")  # WRONG
    rbd.Image(ioctx)  # WRONG
    rbd.Image(ioctx, "a", image_id="b")  # WRONG
    image.write("text", 0)  # WRONG
    image.read_into(bytearray(4), 0)  # WRONG
    image.readinto(4, 0)  # WRONG
    image.read(0, None)  # WRONG
    image.stat()["bytes"]  # WRONG
    image.set_snap(3)  # WRONG
    image.resize(1, progress=print)  # WRONG
    image.flatten(on_progress=lambda done: None)  # WRONG
    image.aio_read(0, 4, lambda completion: None)  # WRONG
    image.encryption_load2(["passphrase"])  # WRONG
    rbd.Completion(image)  # WRONG
    print(rbd.RBD_FEATURE_LAYERINGS)  # WRONG
    print(rbd.Imagee)  # WRONG
    first: str = image.diff()[0][0]  # WRONG
    print(first)
