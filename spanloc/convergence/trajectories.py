"""The data that the plots of a probe are drawn from: one record, one writer, one reader."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spanloc.convergence.anatomy import Section
from spanloc.convergence.descent import Descent
from spanloc.files import replacing


class Trace(NamedTuple):
    """The recorded steps of a descent, as in :class:`~spanloc.convergence.Descent`, but float32."""

    steps: Int[Tensor, " k"]
    error: Float[Tensor, "k n 2"]
    loss: Float[Tensor, "k n"]
    gradient: Float[Tensor, "k n"]


@dataclass(frozen=True)
class Trajectories:
    """The loss across the match, and descents on it from the same starts.

    Args:
        starts: Of the descents, ``(n, 2)``.
        target: Of all of them, ``(2,)``.
        section: The loss across the match.
        descents: By rule.
    """

    starts: Float[Tensor, "n 2"]
    target: Float[Tensor, "2"]
    section: Section
    descents: Mapping[str, Trace]

    @classmethod
    def of(
        cls, starts: Tensor, target: Tensor, section: Section, descents: Mapping[str, Descent]
    ) -> "Trajectories":
        """The part that is kept of whole descents."""
        traces = {
            rule: Trace(d.steps, d.error.float(), d.loss.float(), d.gradient.float())
            for rule, d in descents.items()
        }
        return cls(starts, target, section, traces)

    @property
    def points(self) -> tuple[Float[Tensor, " points"], Float[Tensor, " points"]]:
        """Loss and relative gradient norm of all pairs, at all recorded steps of all descents."""
        traces = self.descents.values()
        return (
            torch.cat([trace.loss.flatten() for trace in traces]),
            torch.cat([trace.gradient.flatten() for trace in traces]),
        )

    def write(self, path: str | Path) -> None:
        """Write a compressed ``.npz``, atomically.

        It has ``starts``, ``target``, ``section/FIELD`` and ``descent/RULE/FIELD``.
        """
        arrays = {"starts": self.starts, "target": self.target}
        arrays |= {f"section/{name}": column for name, column in self.section._asdict().items()}
        for rule, trace in self.descents.items():
            arrays |= {f"descent/{rule}/{name}": c for name, c in trace._asdict().items()}
        with replacing(path) as file:
            columns: Any = {name: column.numpy() for name, column in arrays.items()}
            np.savez_compressed(file, **columns)

    @classmethod
    def read(cls, path: str | Path) -> "Trajectories":
        """Read what :meth:`write` wrote.

        Raises:
            ValueError: The file holds something else.
        """
        try:
            # numpy leaves a file open that it cannot read.
            with Path(path).open("rb") as stream, np.load(stream) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
            rules = [found[1] for n in arrays if (found := re.fullmatch("descent/(.*)/steps", n))]
            return cls(
                arrays["starts"],
                arrays["target"],
                Section(*(arrays[f"section/{name}"] for name in Section._fields)),
                {r: Trace(*(arrays[f"descent/{r}/{n}"] for n in Trace._fields)) for r in rules},
            )
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not the trajectories of a probe: {error}") from None
