"""Settings of the documentation site; `make docs` builds it into docs/_build, without the network."""

import logging
import os
import re
import sys
import warnings
from pathlib import Path

import pytorch_lightning
import torch
from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

import spanloc

sys.path.insert(0, str(Path(__file__).parent))

project = "spanloc"
author = "the authors of spanloc"
copyright = author
version = release = spanloc.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
# What sphinx-gallery writes beside its pages, and its own headings.
exclude_patterns = ["_build", "tutorials", "**/sg_execution_times.rst"]

html_theme = "furo"
html_title = f"spanloc {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
# What a command prints is not Python.
highlight_language = "none"

myst_enable_extensions = ["colon_fence"]
# Links to headings of other pages, as GitHub names them.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = ["Source", "Law"]

lexers["csv"] = TextLexer()

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_tutorials",
    "filename_pattern": "/",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "capture_repr": (),
    "image_scrapers": "gallery.latest_figure",
}

# The models of the tutorials are small: threads would wait for each other more than they work.
torch.set_num_threads(1)
for name in (pytorch_lightning.__name__, "lightning_fabric"):
    logging.getLogger(name).setLevel(logging.ERROR)
# Also in what the tutorials start: hints of Lightning about loaders and logs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for hint in ("many workers", "logging interval", "LeafSpec", "litlogger"):
    warnings.filterwarnings("ignore", message=f".*{hint}.*")


# Links as they work on GitHub, where the pages are read too, and what they are on the site.
ON_THE_SITE = (
    (r"\[`([^`]+)`\]\((\.\./scripts/[\w.]+)\)", r"{download}`\1 <\2>`"),
    (r"\]\(tutorials/(\w+)\.py\)", r"](auto_tutorials/\1.rst)"),
    (r"\]\(tutorials/\)", "](auto_tutorials/index.rst)"),
    (r"\]\(\.\./CHANGELOG\.md\)", "](changelog.md)"),
)


def links_of_the_site(app, name, source):
    """Scripts become downloads; tutorials and the changelog, the pages that are made of them."""
    for link, there in ON_THE_SITE:
        source[0] = re.sub(link, there, source[0])


def sidebar(app, name, source):
    """The pages in the sidebar are those that the lists of the two index pages name, in their order.

    GitHub would show a ``toctree`` in these pages as raw text.
    """
    if name == "index":
        parts = re.findall(r"^- \*\*(.+?)\*\*: (.+)$", source[0], re.MULTILINE)
    elif name == "api/index":
        parts = [("", "\n".join(re.findall(r"^\| (\[.+?\)) \|", source[0], re.MULTILINE)))]
    else:
        return
    for caption, links in parts:
        pages = [
            f"{title[0].upper() + title[1:] if caption else title} <{re.sub(r'[.](md|rst)$', '', page)}>"
            for title, page in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", links)
        ]
        lines = ["```{toctree}", ":hidden:", f":caption: {caption}" if caption else "", "", *pages]
        source[0] += "\n" + "\n".join(lines) + "\n```\n"


def without_field_numbers(app, what, name, obj, skip, options):
    """Leaves out fields of a named tuple, of which Python says no more than their number."""
    return True if str(obj.__doc__).startswith("Alias for field number") else None


def names_that_share_a_line(app, what, name, obj, options, lines):
    """Attributes described together; with a space, Sphinx takes the first ones for the type of the last."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"^:ivar [\w, ]+:", lambda field: field[0].replace(", ", ","), line)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", without_field_numbers)
    # After napoleon, which writes these lines.
    app.connect("autodoc-process-docstring", names_that_share_a_line, priority=600)
    app.connect("source-read", links_of_the_site)
    app.connect("source-read", sidebar)
