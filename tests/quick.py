"""What costs little where the usual would be half of a small run: figures, YAML, settings, checks of shapes."""

import copy
import fcntl
import os
import pickle
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace

import yaml
from hydra._internal import config_repository, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from jaxtyping import config
from matplotlib.figure import Figure
from omegaconf import _utils, base
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


class YamlDumper(getattr(yaml, "CDumper", yaml.Dumper)):
    """OmegaConf's writer of YAML with the one in C where there is one."""


YamlDumper.add_representer(str, _utils.OmegaConfDumper.str_representer)
FAST = {
    _utils.OmegaConfDumper: YamlDumper,
    yaml.SafeDumper: getattr(yaml, "CSafeDumper", yaml.SafeDumper),
}


def dump_all(documents, stream=None, Dumper=yaml.Dumper, usual=yaml.dump_all, **options):  # noqa: N803 - as there
    try:
        return usual(documents, stream, FAST.get(Dumper, Dumper), **options)
    except UnicodeEncodeError:  # half a surrogate pair
        return usual(documents, stream, Dumper, **options)


def choices_so_far(overrides, defaults, self_added, usual=defaults_list._create_interpolation_map):
    """Hydra's table of what is chosen, for the choices that follow another one; made only where there are some."""
    if any(default.is_interpolation() for default in defaults):
        return usual(overrides, defaults, self_added)
    return None


def kept(usual):
    """A step of Hydra whose result is kept for the same files, of which those of packages do not change."""
    results = {}

    def step(self, **what):
        places = [source.full_path() for source in what.get("repo", self).get_sources()]
        if any(place.startswith("file:") for place in places):
            return usual(self, **what)
        key = f"{places} {what.get('defaults')} {what.get('config_path')}"
        if key not in results:
            results[key] = pickle.dumps(usual(self, **what))
        return pickle.loads(results[key])

    return step


def quicken_hydra(replace):
    """Makes composing and writing of settings, a third of the time of a short command, five times as fast."""
    replace(yaml, "dump_all", dump_all)
    # What is parsed is only read.
    replace(base, "parse", cache(base.parse))
    replace(defaults_list, "_create_interpolation_map", choices_so_far)
    replace(ConfigRepository, "load_config", kept(ConfigRepository.load_config))
    whole = "_compose_config_from_defaults_list"
    replace(ConfigLoaderImpl, whole, kept(getattr(ConfigLoaderImpl, whole)))
    # Of what it copies nothing is changed, but a list replaced.
    replace(config_repository, "copy", SimpleNamespace(deepcopy=copy.copy))


def made_once(top, name, make):
    """A folder of several processes, made by the first that wants it."""
    with (top / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not lock.seek(0, os.SEEK_END):
            (top / name).mkdir()
            make(top / name)
            lock.write("made")
    return top / name


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

    on_exception = on_train_end
