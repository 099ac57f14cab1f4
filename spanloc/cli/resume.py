"""``resume=FOLDER``: the settings of a run, and where it stopped."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig

from spanloc.files import replacing

_FILE = "overrides.yaml"


def save_settings(folder: Path) -> None:
    """Write what the command line set to ``overrides.yaml``, for a run that will be resumed."""
    hydra = HydraConfig.get()
    sources = hydra.runtime.config_sources
    places = [source.path for source in sources if source.provider == "command-line"]
    settings = [f"--config-dir={path}" for path in places if path]
    settings += [text for text in hydra.overrides.task if _name(text) != "ckpt_path"]
    with replacing(folder / _FILE) as path:
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def with_saved_settings(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, with those of the run that ``resume=FOLDER`` names in front.

    The run goes on in its folder, from its ``last.ckpt``, unless the arguments say otherwise. What they
    set takes the place of what the run had.

    Raises:
        FileNotFoundError: There is no such run, or it stopped before its first epoch ended.
        ValueError: What is there cannot be resumed.
    """
    found = [a for a in arguments if a.startswith("resume=")]
    if not found or found[-1] in ("resume=", "resume=null"):
        return list(arguments)
    folder = Path(found[-1].removeprefix("resume=").strip("'\"")).absolute()
    folder = folder.parent if folder.is_file() else folder
    given = [a for a in arguments if a not in found]
    if {"-m", "--multirun"} & set(given):
        raise ValueError("resume goes on with one run; it cannot be part of a sweep")
    if not (folder / _FILE).is_file():
        raise FileNotFoundError(f"{folder / _FILE}: no such file; resume wants the folder of a run")
    if not (folder / "last.ckpt").is_file():
        raise FileNotFoundError(
            f"{folder / 'last.ckpt'}: no such file; the run stopped before its first epoch ended, so "
            "there is nothing to go on from: start it again"
        )
    try:
        saved = yaml.safe_load((folder / _FILE).read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        saved = None
    if not isinstance(saved, list) or not all(isinstance(a, str) for a in saved):
        raise ValueError(f"{folder / _FILE}: wanted a list of settings")
    saved += [_quoted("hydra.run.dir", folder), _quoted("ckpt_path", folder / "last.ckpt")]
    names = {_name(a) for a in given}
    # Another choice of a group does not have the options of the old one.
    kept = [a for a in saved if not {_name(a), _name(a).split(".")[0]} & names]
    # Hydra wants all settings side by side, and its own options before or after them.
    options = [a for a in kept if a.startswith("-")]
    settings = [a for a in kept if not a.startswith("-")]
    first = next((i for i, a in enumerate(given) if _is_setting(a)), len(given))
    return [*options, *given[:first], *settings, *given[first:]]


def _is_setting(argument: str) -> bool:
    return "=" in argument and not argument.startswith("-")


def _name(argument: str) -> str:
    return argument.split("=", 1)[0].lstrip("+~")


def _quoted(name: str, path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{text}'"
