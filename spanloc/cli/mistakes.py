"""Which errors are the user's, and the one line that says them."""

import re

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from spanloc.cli.known import closest

_MISTAKES = (
    ValueError,
    OSError,
    FloatingPointError,
    HydraException,
    OmegaConfBaseException,
)


def is_mistake(error: BaseException) -> bool:
    """Whether an error is the user's, to be said in one line."""
    # Lightning's own, by its name: it need not be imported to have failed elsewhere.
    return isinstance(error, _MISTAKES) or type(error).__name__ == "MisconfigurationException"


def line_of(error: BaseException, command: str = "train") -> str:
    """The line that says an error of ``spanloc-<command>``."""
    text = str(error)
    if "iter(combined_loader)" in text and error.__context__ is not None:
        # Lightning's own, as it cleans up after loaders that failed to start.
        return line_of(error.__context__)
    if isinstance(error, OSError) and error.strerror:
        file = _file_of(error)
        text = f"{file}: {error.strerror}" if file else error.strerror
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        # Hydra's own words advise to add the key with a "+", which is not what a typo wants.
        near = closest(unknown[1], command)
        meant = f" did you mean {near}?" if near else ""
        others = "--help names the often used, --cfg job lists all"
        return f"there is no setting {unknown[1]!r};{meant} {others}"
    if isinstance(error, OverrideParseException):
        name, _, value = str(error.override).partition("=")
        return (
            f"{error.override} cannot be read: {text.splitlines()[0]}. A value with =, a comma or a bracket in "
            f"it wants quotes, for the shell and for Hydra: '{name}=\"{value}\"'"
        )
    if isinstance(error, MissingMandatoryValue):
        key = error.full_key
        return f"{key} is not set; add {key}=... to the command"
    return re.sub(r"\s+", " ", text.split("\nConfig search path")[0]).strip()


def _file_of(error: BaseException | None) -> str | None:
    # Loggers give none, also where they fail again while another failure is cleaned up.
    while error is not None:
        if file := getattr(error, "filename", None):
            return str(file)
        error = error.__context__
    return str(HydraConfig.get().runtime.output_dir) if HydraConfig.initialized() else None
