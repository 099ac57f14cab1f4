"""``resume=FOLDER``: the settings of a run, and where it stopped."""

from collections.abc import Sequence
from pathlib import Path

import yaml


def with_saved_settings(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, with those of the run that ``resume=FOLDER`` names in front.

    The run goes on in its folder, from its ``last.ckpt``, unless the arguments say otherwise. What they
    set takes the place of what the run had.

    Raises:
        FileNotFoundError: There is no such run.
        ValueError: What is there cannot be resumed.
    """
    found = [a for a in arguments if a.startswith("resume=")]
    if not found or found[-1] in ("resume=", "resume=null"):
        return list(arguments)
    folder = Path(found[-1].removeprefix("resume=").strip("'\"")).absolute()
    given = [a for a in arguments if a not in found]
    if {"-m", "--multirun"} & set(given):
        raise ValueError("resume goes on with one run; it cannot be part of a sweep")
    saved = folder / ".hydra" / "overrides.yaml"
    for path in (folder / "last.ckpt", saved):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; resume={folder} wants a run's folder")
    try:
        before = yaml.safe_load(saved.read_text(encoding="utf-8")) or []
    except (ValueError, yaml.YAMLError):
        before = None
    if not isinstance(before, list) or not all(isinstance(a, str) for a in before):
        raise ValueError(f"{saved}: wanted a list of settings")
    kept = [_quoted("hydra.run.dir", folder), _quoted("ckpt_path", folder / "last.ckpt")]
    names = {_name(a) for a in given}
    return [a for a in (*before, *kept) if _name(a) not in names] + given


def _name(argument: str) -> str:
    return argument.split("=", 1)[0].lstrip("+~")


def _quoted(name: str, path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{text}'"
