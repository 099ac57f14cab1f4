"""How the tutorials are shown on the site."""

from sphinx_gallery.scrapers import figure_rst


def latest_figure(block, block_vars, gallery_conf):
    """The figure that a block of code has drawn and called ``figure``."""
    figure = block_vars["example_globals"].pop("figure", None)
    if figure is None:
        return ""
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, dpi=110)
    return figure_rst([path], gallery_conf["src_dir"])
