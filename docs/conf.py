"""How Sphinx makes the manual; `./dev docs` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import rbd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "extension"))

import cppheaders  # noqa: E402

project = "rbd"
author = "the rbd developers"
copyright = author
version = release = rbd.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "manual", "topics"]
exclude_patterns = ["requirements.txt", "_data"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Dashes are set as such; a quote stays as it is, since "" is an empty text.
smartquotes_action = "D"
# Names in `backticks` of docstrings are code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autoclass_content = "both"
python_use_unqualified_type_names = True
# A name that nothing documents is an error; docs/extension/manual.py knows what is not ours.
nitpicky = True
# Of C++: the standard library and the C libraries, the types of the C API, parameters of templates.
nitpick_ignore_regex = [
    (r"cpp:.*", r"(std|abi)(::.*)?"),
    (r"cpp:.*", r"u?int\d+_t|s?size_t|iovec|timespec|timeval|time_t|(rbd|rados)_\w+_t"),
    # Namespaces, and what only the library itself uses.
    (r"cpp:.*", "|".join(["engine", "rados", *cppheaders.namespaces()])),
    (r"cpp:.*", r"Handle|Guard|Secret|Version|\w+State|Use<.*>|watch::Watch|object::Status"),
]
add_module_names = False

html_theme = "furo"
html_title = f"rbd {release}"
html_static_path = ["static"]
html_css_files = ["manual.css"]
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
