"""Formats images for encryption without the second that a passphrase usually takes.

Random tests open thousands of encrypted images.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import rbd

LUKS1 = rbd.RBD_ENCRYPTION_FORMAT_LUKS1
LUKS2 = rbd.RBD_ENCRYPTION_FORMAT_LUKS2
#: The length of the header, by format, for an image of small objects, in bytes.
HEADERS = {LUKS1: 2 << 20, LUKS2: 16 << 20}
PASSPHRASE = "only for these images"

_OPTIONS = {
    LUKS1: ["--type", "luks1"],
    LUKS2: ["--type", "luks2", "--sector-size", "4096", "--pbkdf", "pbkdf2"],
}


@functools.cache
def _header(format: int, length: int) -> bytes:
    """Return a header of `length` bytes whose passphrase is quick to check."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "header")
        path.write_bytes(bytes(length + (1 << 20)))
        options = ["--cipher", "aes-xts-plain64", "--key-size", "512", "--hash", "sha256"]
        options += ["--pbkdf-force-iterations", "1000", "--use-urandom", *_OPTIONS[format]]
        options += ["--offset", str(length // 512)]
        subprocess.run(
            ["cryptsetup", "luksFormat", "--batch-mode", *options, str(path), "-"],
            check=True,
            input=PASSPHRASE.encode(),
        )
        return path.read_bytes()[:length]


def is_cheap() -> bool:
    """Return whether cryptsetup exists. It formats images with any number of iterations."""
    return shutil.which("cryptsetup", path="/usr/sbin:/sbin:/usr/bin:/bin") is not None


def format_cheaply(image: rbd.Image, format: int, *, whole_objects: bool = True) -> None:
    """Format an image and load its encryption, by cryptsetup if that is installed.

    Ceph 18 and newer load only a header of whole objects.
    """
    if not is_cheap():
        image.encryption_format(format, PASSPHRASE)
        return
    unit = image.stat()["obj_size"] if whole_objects else 1
    image.write(_header(format, -(-HEADERS[format] // unit) * unit), 0)
    image.encryption_load(format, PASSPHRASE)
