"""The arguments of a command: what is no setting is refused, and what Hydra would misread is put right."""

import math
import os
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from spanloc.data.quotes import QUOTED, in_quotes

_NUMBER = r"[+-]?[\d_.]+(?:[eE][+-]?\d+)?"
_NUMBER_IN_LIST = rf"(?<=[\[,]){_NUMBER}(?=[,\]])"
# Options of Hydra whose value may be the next argument.
_WITH_VALUE = {
    *("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p"),
    *("--cfg", "-c", "--info", "-i", "--experimental-rerun"),
}
_SHORT_NAMES = "hydra.job.config.override_dirname.exclude_keys="
# What a command wants first; the empty place is that of a folder or a file.
_FIRST = {
    "train": "data.root={}",
    "tune": "data.root={}",
    "check": "data.root={}",
    "evaluate": "checkpoint={}",
    "export": "checkpoint={}",
    "predict": "checkpoint={run} input={}",
    "score": "predictions={} annotations=FILE",
    "report": "runs={}",
    "probe": "span_loss=giou",
}


def refuse_others(arguments: Sequence[str], command: str) -> None:
    """Refuse arguments that are neither a setting nor an option of Hydra's, in one line."""
    parser: ArgumentParser = get_args_parser()

    def refuse(message: str) -> None:
        raise ValueError(message)

    # argparse's own prints its usage, in nine lines, and exits; the parser is made by Hydra.
    parser.error = refuse  # type: ignore[method-assign, assignment]
    options, unknown = parser.parse_known_args(arguments)
    dashed = [argument.lstrip("-") for argument in unknown if argument.startswith("-")]
    if dashed:
        known = [o for action in parser._actions for o in action.option_strings if o[1] == "-"]
        name = dashed[0].partition("=")[0]
        if near := get_close_matches(f"--{name}", known, n=1, cutoff=0.8):
            raise ValueError(f"there is no option --{name}; did you mean {near[0]}?")
        wanted = " ".join(shlex.quote(a if "=" in a else f"{a}=VALUE") for a in dashed)
        raise ValueError(f"settings are written without dashes: {wanted}")
    # A setting is taken away by ~NAME.
    others = [a for a in (*options.overrides, *unknown) if "=" not in a and not a.startswith("~")]
    if not others:
        return
    for i, argument in enumerate(arguments):
        if re.search(r"=[{[][^]}]*$", argument):
            whole = re.sub(r"([]}]).*", r"\1", " ".join(arguments[i:]), flags=re.S)
            raise ValueError(f"a setting with spaces wants quotes: {shlex.quote(whole)}")
    first = _FIRST[command]
    runs = [a for a in others if a.endswith(".ckpt") or os.path.exists(f"{a}/best.ckpt")]
    run = runs[0] if runs and "{run}" in first else "RUN"
    there = next((a for a in others if a != run and os.path.exists(a)), "FOLDER")
    like = " ".join(shlex.quote(part.format(there, run=run)) for part in first.split())
    raise ValueError(f"{others[0]} is no setting; settings are NAME=VALUE: {like}")


def settings_of(arguments: Sequence[str]) -> list[int]:
    """The places of the settings among the arguments."""
    return [
        i
        for i, argument in enumerate(arguments)
        if not argument.startswith("-") and not (i and arguments[i - 1] in _WITH_VALUE)
    ]


def name_of(setting: str) -> str:
    """The name of a setting."""
    return setting.split("=", 1)[0].lstrip("+~")


def ordered(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, the settings last, as Hydra wants them."""
    places = settings_of(arguments)
    others = [a for i, a in enumerate(arguments) if i not in places]
    return [*others, *(arguments[i] for i in places)]


def quoted(name: str, path: Path) -> str:
    """A setting whose value is a path, with whatever characters."""
    # To Hydra a backslash is one, except before a quotation mark.
    text = re.sub(r"(\\*)('|\Z)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), str(path))
    return f"{name}='{text}'"


def with_own_data(arguments: Sequence[str]) -> list[str]:
    """The arguments, with ``data=annotations`` where they name a folder of data and no choice of data.

    >>> with_own_data(["data.root=here", "seed=1"])
    ['data=annotations', 'data.root=here', 'seed=1']
    """
    places = settings_of(arguments)
    names = {name_of(arguments[i]) for i in places}
    if "data.root" not in names or names & {"data", "resume"}:
        return list(arguments)
    return [*arguments[: places[0]], "data=annotations", *arguments[places[0] :]]


def with_experiment(arguments: Sequence[str]) -> list[str]:
    """The arguments of a check, with ``experiment=NAME`` as a value: the file has settings of training too.

    >>> with_experiment(["data.root=here", "experiment=mine"])
    ['data.root=here', "experiment={name: 'mine'}"]
    """
    given = [argument.removeprefix("+") for argument in arguments]
    found = [re.fullmatch(r"experiment=([^\s'{}]+)", argument) for argument in given]
    pairs = zip(arguments, found, strict=True)
    return [f"experiment={{name: '{match[1]}'}}" if match else a for a, match in pairs]


def with_search(arguments: Sequence[str]) -> list[str]:
    """The arguments, with parameters of a search added or changed, whichever they are.

    >>> with_search(["hparams_search.optimizer.lr.low=1e-4", "hparams_search=one_span"])
    ['++hparams_search.optimizer.lr.low=1e-4', 'hparams_search=one_span']
    """
    # Their names have dots in a file, which on a command line lead from one level to the next.
    return [f"++{a}" if a.startswith("hparams_search.") else a for a in arguments]


def with_text_roots(arguments: Sequence[str]) -> list[str]:
    """The arguments, with names of files and folders in quotes where Hydra would take them for numbers.

    Of ``input`` and ``checkpoint`` also those that Hydra could not read, such as ``night (1).edf``.

    >>> with_text_roots(["data.root=2024_05", "seed=1", "input=[2024,a.wav]"])
    ["data.root='2024_05'", 'seed=1', "input=['2024',a.wav]"]
    """
    found = list(arguments)
    for i in settings_of(arguments):
        name, _, value = arguments[i].partition("=")
        if name_of(name) not in ("data.root", "input", "checkpoint"):
            continue
        if re.fullmatch(_NUMBER, value):
            found[i] = f"{name}='{value}'"
        elif name_of(name) == "data.root":
            continue
        elif value.startswith("["):
            texts = re.sub(_NUMBER_IN_LIST, r"'\g<0>'", value)
            found[i] = f"{name}={texts}"
        # Not what a sweep runs one by one; a name may have a comma too.
        elif value and (os.path.exists(value) or not re.search(r"[,'\"$]", value)):
            found[i] = quoted(name, Path(value))
    return found


def with_quotes(arguments: Sequence[str]) -> list[str]:
    """The arguments, with quotes around what Hydra cannot read without: letters other than A to Z.

    >>> with_quotes(["data.root=été", "-m", "name=a,ö", "data.background=[no]"])
    ['data.root="été"', '-m', 'name=a,"ö"', 'data.background=[no]']
    """
    found = list(arguments)
    for i in settings_of(arguments):
        name, _, value = arguments[i].partition("=")
        # Not what Hydra works out: a value of another setting, the values of a sweep.
        if not re.sub(QUOTED, "", value).isascii() and not re.match(r"\$|\w+\(", value):
            found[i] = f"{name}={in_quotes(value)}"
    return found


def with_short_names(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the settings of one value left out of the names of a sweep's folders.

    >>> with_short_names(["-m", "seed=0,1", "data.root=a"])[3]
    "hydra.job.config.override_dirname.exclude_keys=['data.root']"
    """
    given = _parsed(arguments)
    names = [text.key_or_group for text in given if not text.is_sweep_override()]
    if len(names) == len(given):
        return list(arguments)
    return [*arguments, f"{_SHORT_NAMES}{names}"]


def without_short_names(arguments: Sequence[str]) -> list[str]:
    """The arguments, without the one that :func:`with_short_names` adds.

    >>> without_short_names(with_short_names(["-m", "seed=0,1", "data.root=a"]))
    ['-m', 'seed=0,1', 'data.root=a']
    """
    return [argument for argument in arguments if not argument.startswith(_SHORT_NAMES)]


def num_runs(arguments: Sequence[str]) -> int | None:
    """The number of runs of a sweep over all combinations of the values; None where another sweeper chooses them.

    >>> num_runs(["-m", "seed=0,1", "span_loss=iou,giou,diou", "name=a"])
    6
    """
    given = _parsed(arguments)
    swept = [setting for setting in given if setting.is_sweep_override()]
    known = all(isinstance(setting.value(), ChoiceSweep | RangeSweep) for setting in swept)
    if not known or any(setting.key_or_group.startswith("hydra/sweeper") for setting in given):
        return None
    return math.prod(sum(1 for _ in setting.sweep_iterator()) for setting in swept)


def _parsed(arguments: Sequence[str]) -> list[Override]:
    settings = get_args_parser().parse_known_args(arguments)[0].overrides
    return OverridesParser.create().parse_overrides(settings)
