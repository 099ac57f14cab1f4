"""What costs little where the usual would be half of a small run: figures, YAML, settings, checks of shapes."""

from contextlib import contextmanager

import yaml
from hydra._internal import defaults_list
from jaxtyping import config
from matplotlib.figure import Figure
from pytorch_lightning import Callback

_savefig = Figure.savefig


def small(figure, *args, **options):
    """Saves a figure of few dots and without its layout."""
    figure.set_layout_engine("none")
    _savefig(figure, *args, **{**options, "dpi": 20})


def blank(figure, *args, **options):
    """Saves an empty figure of the same size."""
    small(Figure(figure.get_size_inches()), *args, **options)


def yaml_loader(usual):
    """OmegaConf's loader of YAML made once, and with the parser in C where there is one."""
    safe = yaml.SafeLoader
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", safe)
    try:
        loader = usual()
    finally:
        yaml.SafeLoader = safe
    return lambda: loader


def choices_so_far(overrides, defaults, self_added, usual=defaults_list._create_interpolation_map):
    """Hydra's table of what is chosen, for the choices that follow another one; made only where there are some."""
    if any(default.is_interpolation() for default in defaults):
        return usual(overrides, defaults, self_added)
    return None


@contextmanager
def unchecked():
    """Without the checks of shapes: they cannot be exported, and are a quarter of a small training."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", before)


class CheckedOnce(Callback):
    """Checks the shapes of the first step of a training, which are those of the others."""

    def on_train_batch_end(self, *args):
        config.update("jaxtyping_disable", True)

    def on_train_end(self, *args):
        config.update("jaxtyping_disable", False)

    def on_exception(self, *args):
        config.update("jaxtyping_disable", False)
