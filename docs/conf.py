"""Builds the site: `python -m sphinx -W --keep-going docs site`. Nothing is fetched, neither here nor by the pages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import transformers_uniref

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent / "_tools"))

project = "transformers_uniref"
author = "The transformers_uniref contributors"
copyright = author
release = version = transformers_uniref.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "made_pictures",
    "markdown_docstrings",
    "mathml",
    "repository_links",
]
exclude_patterns = ["_tools", "_build"]
myst_enable_extensions = ["alert", "attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4  # the anchors that GitHub gives, so that links work in both places
myst_dmath_double_inline = True

# Docstrings are Google's style with Markdown inside (see _tools/markdown_docstrings.py).
default_role = "literal"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_param = False  # "`a, b`: text" describes two arguments at once
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_inherit_docstrings = False  # those of Transformers are not ours to format
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
add_module_names = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "transformers_uniref"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
