"""The documentation's site: what Sphinx builds it from. `make docs` runs it, without a network."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / "site"), str(DOCS.parent / "src")]

# One thread, and small pictures: the gallery's examples share the machine with whatever else runs on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from blindsr.version import __version__  # noqa: E402

project = "blindsr"
author = "the blindsr authors"
project_copyright = f"{author}, MIT licence"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "pages",  # site/pages.py: the pages that are written from the code
    "outside",  # site/outside.py: links to files that lie outside this folder
]
exclude_patterns = ["site", "gallery", "images"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = False
suppress_warnings = ["config.cache"]

# Markdown that reads well without the site, too: no syntax of MyST's own in the pages but for tables of
# contents.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
highlight_language = "none"  # indented blocks: files, output, plans

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
smartquotes = False  # what is quoted is mostly typed
default_role = "py:obj"  # a name in single backticks is a link where it is a public name

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": str(DOCS / "gallery"),
    "gallery_dirs": "examples",
    "filename_pattern": "/plot_",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1,
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "plain_plots.reset"),
    "backreferences_dir": None,
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "furo"
html_title = f"blindsr {release}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_js_files = ["versions.js"]
html_last_updated_fmt = None  # the same sources give the same pages
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2f5d8a", "color-brand-content": "#2f5d8a"},
    "dark_css_variables": {"color-brand-primary": "#8fb8de", "color-brand-content": "#8fb8de"},
    "navigation_with_keys": True,
}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "versions.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
templates_path = ["site/templates"]
