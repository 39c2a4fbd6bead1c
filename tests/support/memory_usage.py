"""The memory of this process, in KiB.

Read from the kernel's account of the address space, not from getrusage(): a child started by vfork
inherits its parent's ru_maxrss.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sysconfig
from pathlib import Path

from support.isolated import PATIENCE

# Without the interpreter's lock, Python has an allocator for each thread, which keeps memory that
# other threads have freed. AddressSanitizer keeps freed memory to detect its use. An emulator keeps
# the translated code in the process.
_SANITIZED = "/libasan." in Path("/proc/self/maps").read_text()
_FREED_IS_KEPT = _SANITIZED or bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
#: The factor for limits of memory.
LEEWAY = 8 if _FREED_IS_KEPT else 4 if PATIENCE > 1 else 1


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found, field
    return int(found.group(1))


def now() -> int:
    """Return the resident memory, after free memory was returned to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def peak() -> int:
    """Return the largest resident memory since the process began or `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Restart the peak at the present resident memory."""
    Path("/proc/self/clear_refs").write_text("5")
