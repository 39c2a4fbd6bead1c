"""The distribution's `rados` module, also from an environment that does not contain it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import pathlib
import sys
import sysconfig
from typing import Any, Optional

#: The suffix of this interpreter's extension modules.
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)


def rados_file() -> Optional[pathlib.Path]:
    """Return the extension module that this interpreter can load; None if there is none."""
    found = importlib.util.find_spec("rados")
    # The alias of rbd.rados (python/rados) has the name too, and is no extension module.
    if found is not None and found.origin and found.origin.endswith(SUFFIXES):
        return pathlib.Path(found.origin)
    for directory in ("/usr/lib/python3/dist-packages", "/usr/lib64/python3/site-packages"):
        for name in (f"rados{SUFFIX}", "rados.abi3.so"):
            if (pathlib.Path(directory) / name).exists():
                return pathlib.Path(directory) / name
    return None


def rados() -> Any:
    """Return the module, imported as `rados`."""
    if "rados" not in sys.modules:
        file = str(rados_file())
        loader = importlib.machinery.ExtensionFileLoader("rados", file)
        spec = importlib.util.spec_from_file_location("rados", file, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["rados"] = module
        loader.exec_module(module)
    return sys.modules["rados"]
