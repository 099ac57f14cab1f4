"""``resume=FOLDER``: the settings of a run, and where it stopped."""

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig

from spanloc.files import replacing

#: Where a run or a study keeps what its command line set.
SETTINGS = "overrides.yaml"
_NUMBER = r"[+-]?[\d_.]+(?:[eE][+-]?\d+)?"
_NUMBER_IN_LIST = rf"(?<=[\[,]){_NUMBER}(?=[,\]])"
# Options of Hydra whose value may be the next argument.
_WITH_VALUE = {
    *("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p"),
    *("--cfg", "-c", "--info", "-i", "--experimental-rerun"),
}


def for_hydra(arguments: Sequence[str], command: str) -> list[str]:
    """The arguments of a command as Hydra takes them, with those of the run or study that is resumed."""
    trains = command in ("train", "tune")
    found = with_saved_settings(arguments, command) if trains else ordered(arguments)
    found = with_text_roots(found)
    return with_search(with_own_data(found)) if trains else found


def given_settings(root: object) -> list[str]:
    """What the command line set, in the words of a command that means the same anywhere.

    Args:
        root: Of the data, absolute, if they have one; it takes the place of a relative one.
    """
    hydra = HydraConfig.get()
    sources = hydra.runtime.config_sources
    places = [source.path for source in sources if source.provider == "command-line"]
    settings = [f"--config-dir={path}" for path in places if path]
    # A launcher would make a sweep of a run of one.
    others = ("ckpt_path", "launcher")
    settings += [text for text in hydra.overrides.task if _name(text) not in others]
    if isinstance(root, str) and any(_name(text) == "data.root" for text in settings):
        settings = [text for text in settings if _name(text) != "data.root"]
        settings.append(quoted("data.root", Path(root)))
    return settings


def save_settings(folder: Path, root: object) -> None:
    """Write the :func:`given_settings` to ``overrides.yaml``, for a run or a study that will be resumed."""
    _clean(folder)
    with replacing(folder / SETTINGS) as path:
        path.write_text(yaml.safe_dump(given_settings(root)), encoding="utf-8")


def saved_settings(folder: Path) -> list[str]:
    """What :func:`save_settings` wrote.

    Raises:
        ValueError: It is something else.
    """
    try:
        saved = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        saved = None
    if not isinstance(saved, list) or not all(isinstance(a, str) for a in saved):
        raise ValueError(f"{folder / SETTINGS}: wanted a list of settings")
    return saved


def how_to_resume(command: str, folder: Path) -> str:
    """A line for a run or study that was stopped, with the command that resumes it.

    Empty where it had not begun.
    """
    if not (folder / SETTINGS).is_file():
        return ""
    if command == "train" and not (folder / "last.ckpt").is_file():
        return "Its first epoch had not ended, so nothing was saved: start it again"
    return f"To resume it: spanloc-{command} {shlex.quote(f'resume={folder}')}"


def with_saved_settings(arguments: Sequence[str], command: str = "train") -> list[str]:
    """The arguments of a command, with those of the run that ``resume=FOLDER`` names in front.

    The run goes on in its folder, from its ``last.ckpt``, unless the arguments say otherwise. What they
    set takes the place of what the run had. A study (``tune``) has its trials in place of the checkpoint.

    Raises:
        FileNotFoundError: There is no such run, or it stopped before its first epoch ended.
        ValueError: What is there cannot be resumed.
    """
    arguments = _with_requeued(arguments) if command == "train" else arguments
    found = [a for a in arguments if a.startswith("resume=")]
    if not found or found[-1] in ("resume=", "resume=null"):
        return ordered(arguments)
    folder = Path(found[-1].removeprefix("resume=").strip("'\"")).absolute()
    folder = folder.parent if folder.is_file() else folder
    given = [a for a in arguments if a not in found]
    if {"-m", "--multirun"} & set(given):
        raise ValueError("resume goes on with one run; it cannot be part of a sweep")
    if not (folder / SETTINGS).is_file():
        what = "a run" if command == "train" else "a study"
        raise FileNotFoundError(
            f"{folder / SETTINGS}: no such file; resume wants the folder of {what}, and of one "
            "that had begun to train"
        )
    if command == "train" and not (folder / "last.ckpt").is_file():
        raise FileNotFoundError(
            f"{folder / 'last.ckpt'}: no such file; the run stopped before its first epoch ended, so "
            "there is nothing to go on from: start it again"
        )
    saved = saved_settings(folder)
    _clean(folder)
    saved.append(quoted("hydra.run.dir", folder))
    if command == "train":
        saved.append(quoted("ckpt_path", folder / "last.ckpt"))
    places = _settings(given)
    names = {_name(a) for i, a in enumerate(given) if i in places or a.startswith("-")}
    # Another choice of a group does not have the options of the old one.
    kept = [a for a in saved if not {_name(a), _name(a).split(".")[0]} & names]
    # What the run added is taken away by not adding it.
    added = {_name(a) for a in saved if a.startswith("+")}
    undone = {i for i in places if given[i].startswith("~") and _name(given[i]) in added}
    # Hydra wants all settings side by side, and its own options before or after them.
    options = [a for a in kept if a.startswith("-")]
    settings = [a for a in kept if not a.startswith("-")]
    for i in places:
        # What the run had to add, as the config does not have it, is added again.
        again = _name(given[i]) in added and not given[i].startswith(("+", "~"))
        if i not in undone:
            settings.append(f"+{given[i]}" if again else given[i])
    others = [a for i, a in enumerate(given) if i not in places]
    return [*options, *others, *settings]


def _with_requeued(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments, with ``resume=`` where SLURM or torchrun runs a job again and the run is there already."""
    names = {_name(argument) for argument in arguments}
    counts = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    again = any(os.environ.get(name, "0").strip("0") for name in counts)
    if not again or {"resume", "ckpt_path"} & names or {"-m", "--multirun"} & set(arguments):
        return arguments
    places = [a.partition("=")[2].strip("'\"") for a in arguments if _name(a) == "hydra.run.dir"]
    there = places and all((Path(places[-1]) / name).is_file() for name in (SETTINGS, "last.ckpt"))
    return [*arguments, f"resume={places[-1]}"] if there else arguments


def with_own_data(arguments: Sequence[str]) -> list[str]:
    """The arguments, with ``data=annotations`` where they name a folder of data and no choice of data.

    >>> with_own_data(["data.root=here", "seed=1"])
    ['data=annotations', 'data.root=here', 'seed=1']
    """
    names = {_name(arguments[i]) for i in _settings(arguments)}
    if "data.root" not in names or names & {"data", "resume"}:
        return list(arguments)
    first = min(_settings(arguments))
    return [*arguments[:first], "data=annotations", *arguments[first:]]


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
    for i in _settings(arguments):
        name, _, value = arguments[i].partition("=")
        if _name(name) not in ("data.root", "input", "checkpoint"):
            continue
        if re.fullmatch(_NUMBER, value):
            found[i] = f"{name}='{value}'"
        elif _name(name) == "data.root":
            continue
        elif value.startswith("["):
            found[i] = f"{name}={re.sub(_NUMBER_IN_LIST, _in_quotes, value)}"
        elif _is_path(value):
            found[i] = quoted(name, Path(value))
    return found


def _in_quotes(found: re.Match[str]) -> str:
    return f"'{found[0]}'"


def _is_path(value: str) -> bool:
    # Not what a sweep runs one by one; a name may have a comma too.
    with suppress(OSError, ValueError):  # too long for a name, or a NUL
        return bool(value) and (Path(value).exists() or not re.search(r"[,'\"$]", value))
    return False


def ordered(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, the settings last, as Hydra wants them."""
    places = _settings(arguments)
    others = [a for i, a in enumerate(arguments) if i not in places]
    return [*others, *(arguments[i] for i in places)]


def _clean(folder: Path) -> None:
    # Unfinished files, as spanloc.files.replacing names them, of processes that were killed.
    for path in folder.rglob(".spanloc-*"):
        found = re.match(r"\.spanloc-(\d+)-", path.name)
        if found and path.is_file() and not is_alive(int(found[1])):
            path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether another process of this machine has this number."""
    # The number of this process may have been that of another: in a container it is the same each time.
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _settings(arguments: Sequence[str]) -> list[int]:
    # Where the settings are among the arguments.
    return [
        i
        for i, argument in enumerate(arguments)
        if not argument.startswith("-") and not (i and arguments[i - 1] in _WITH_VALUE)
    ]


def _name(argument: str) -> str:
    return argument.split("=", 1)[0].lstrip("+~")


def quoted(name: str, path: Path) -> str:
    """A setting whose value is a path, with whatever characters."""
    # To Hydra a backslash is one, except before a quotation mark.
    text = re.sub(r"(\\*)('|\Z)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), str(path))
    return f"{name}='{text}'"
