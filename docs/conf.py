"""Sphinx configuration. Build with ``python -m sphinx -W -b html docs docs/_build/html``.

The build needs no network. The pages load MathJax from its public address when they are read;
to read them offline, set MATHJAX_PATH to a local copy before building.
"""

import os
import re
import warnings
from importlib import metadata

os.environ.setdefault("MPLBACKEND", "Agg")

project = "sparsereg"
author = "the sparsereg developers"
copyright = "2026, the sparsereg developers"
release = metadata.version("scikit-sparsereg")
version = release

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "examples", "**/GALLERY_HEADER.rst"]
nitpicky = False

# Text
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
if "MATHJAX_PATH" in os.environ:
    mathjax_path = os.environ["MATHJAX_PATH"]

# Reference
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc shows the types, with shapes
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Gallery
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "within_subsection_order": "FileNameSortKey",
    "matplotlib_animations": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "copyfile_regex": r".*\.rst",
}
warnings.filterwarnings("ignore", message="Matplotlib is currently using agg")

# Pages
html_theme = "pydata_sphinx_theme"
html_title = "sparsereg"
html_static_path = ["_static"]
html_css_files = ["sparsereg.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "sparsereg"},
    "navbar_align": "left",
    "show_toc_level": 2,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {
    page: []
    for page in (
        "index",
        "getting_started",
        "which_estimator",
        "faq",
        "extending",
        "design",
        "changelog",
    )
}


def unlink_scikit_learn(app, what, name, obj, options, lines):
    """Turn references of inherited docstrings into plain text: their targets are elsewhere."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        lines[:] = [
            re.sub(r":ref:`([^`<]*?) *(<[^`]*>)?`", r"\1", line).replace("sphx_glr_", "")
            for line in lines
        ]


def setup(app):
    app.connect("autodoc-process-docstring", unlink_scikit_learn, priority=0)
