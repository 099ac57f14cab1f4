"""How the tutorials are shown on the site."""

from pathlib import Path

from sphinx_gallery.scrapers import figure_rst


def latest_figure(block, block_vars, gallery_conf):
    """The figure that a block of code stores as ``figure``, with a caption that names the script."""
    figure = block_vars["example_globals"].pop("figure", None)
    if figure is None:
        return ""
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, dpi=110)
    script = Path(block_vars["src_file"]).name
    caption = f"*Drawn by* ``python {script}``, *with the data and the seed that the script sets.*"
    return f"{figure_rst([path], gallery_conf['src_dir'])}\n{caption}\n\n"
