"""How `make docs` builds the site: Sphinx reads the pages as they are, MyST's Markdown, and the API from docstrings."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = "Inferometer"
copyright = "the authors of Inferometer, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Inferometer"
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_member_order = "alphabetical"
autodoc_preserve_defaults = True
