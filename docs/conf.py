"""Sphinx reads this file; https://www.sphinx-doc.org/en/master/usage/configuration.html."""

from importlib.metadata import version as installed

project = "timestamp_guard"
author = "timestamp_guard contributors"
copyright = author
release = installed("timestamp-guard")
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"timestamp_guard {version}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # so that a page can link to a heading of another

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
