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


def scripts_as_downloads(app, name, source):
    """Links to scripts, which lie outside of this folder: a reader of the site gets the file."""
    link = r"\[`([^`]+)`\]\((\.\./scripts/[\w.]+)\)"
    source[0] = re.sub(link, r"{download}`\1 <\2>`", source[0])


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", scripts_as_downloads)
