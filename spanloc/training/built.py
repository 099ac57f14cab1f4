"""A LightningModule around a localizer that the training data may have to complete."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from spanloc.facts import DataFacts, InputFacts
from spanloc.files import record
from spanloc.lightning import LightningModule, rank_zero_info
from spanloc.models.sizing import complete


class BuiltModule(LightningModule):
    """Holds a localizer, or builds one when the training data are known, and keeps both in checkpoints.

    Args:
        localizer: A module; or a function that builds one, called with what it takes of the ``facts`` of
            the training data (:class:`~spanloc.facts.DataFacts`): all of them as ``facts``, or one by
            one by their names.
        classes: Names of the labels; None: those of the data.

    Attributes:
        config: The one that :func:`spanloc.load` builds the model from; None for one built in plain Python.
        facts: Of the training data that the localizer was built from; None if it was given.
        window: The most steps evaluated at once, as the data say; None: a whole batch, however long. For a
            model with a fixed number of predictions: the steps of the longest training sample.
        input: The signals that it was trained on, as the data say; None: unknown.
    """

    localizer: Any

    def __init__(
        self, localizer: nn.Module | Callable[..., nn.Module], classes: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self.classes = list(classes or ())
        self.config: dict[str, Any] | None = None
        self.facts: DataFacts | None = None
        self.window: int | None = None
        self.input: InputFacts | None = None
        self._make_localizer: Callable[..., nn.Module] | None = None
        if isinstance(localizer, nn.Module):
            self._own(localizer)
        else:
            self.localizer, self._make_localizer = None, localizer

    def setup(self, stage: str) -> None:
        """Sets up what follows from the training data."""
        if stage == "fit":
            trainer: Any = self.trainer
            self.prepare(trainer.datamodule)

    def prepare(self, datamodule: Any = None) -> None:
        """Build and set up what follows from the training data; what is set up already stays.

        Args:
            datamodule: Such as :class:`~spanloc.data.SpanDataModule`, after its ``setup("fit")``: it has
                ``facts()``, ``statistics()`` of the channels, ``classes``, ``window`` and
                ``train_window``; all are optional for a localizer that is built. Without ``statistics()`` its
                input is not normalised, unless its ``set_statistics`` was called.

        Raises:
            ValueError: The localizer is not built, and the data do not say what it needs.
        """
        self.classes = self.classes or list(getattr(datamodule, "classes", ()))
        self.input = getattr(datamodule, "input", None) or self.input
        if self.localizer is None:
            if not hasattr(datamodule, "facts"):
                raise ValueError(
                    "the localizer is a function that builds one from the training data, and "
                    f"{type(datamodule).__name__} does not say what these are: give it facts(), as "
                    "spanloc.data.SpanDataModule has, or build the localizer"
                )
            self.build(datamodule.facts())
        # What is bound to the length of its training sequences is evaluated on no longer ones.
        name = "train_window" if getattr(self.localizer, "bounded", False) else "window"
        self.window = getattr(datamodule, name, None) or self.window
        num_channels = getattr(datamodule, "num_channels", None)
        for name, value in (("num_channels", num_channels), ("num_classes", len(self.classes))):
            ours = getattr(self.localizer, name, value)
            if value and ours != value:
                raise ValueError(f"the model has {name} {ours}; the data have {value}")
        if not getattr(self.localizer, "normalised", True):
            if hasattr(datamodule, "statistics"):
                self.localizer.set_statistics(*datamodule.statistics())
            else:
                kind = type(datamodule).__name__
                rank_zero_info(f"the features are not normalised: {kind} has no statistics()")

    def build(self, facts: DataFacts | None) -> None:
        """Build the localizer, from facts of the training data unless it leaves nothing open."""
        if self._make_localizer is not None and self.localizer is None:
            self.facts = facts
            sizes = {} if facts is None else {"facts": facts, **asdict(facts)}
            self._own(complete(self._make_localizer, sizes).to(self.device))

    def _own(self, localizer: nn.Module) -> None:
        self.localizer = localizer
        channels = getattr(localizer, "num_channels", None)
        if channels:
            mask = torch.ones(1, 256, dtype=torch.bool)
            self.example_input_array = (torch.zeros(1, channels, 256), mask)
        self.save_hyperparameters({"made_of": self.made_of()})

    def made_of(self) -> dict[str, Any]:
        """Names and sizes of the parts, as plain values: the hyperparameters that loggers get."""
        parts = {"localizer": self.localizer}
        parts |= {
            name: getattr(self.localizer, name, None) for name in ("backbone", "neck", "head")
        }
        sizes = ("num_channels", "num_classes", "stride", "num_levels", "width")
        return {
            name: {"type": type(part).__name__}
            | {size: getattr(part, size) for size in sizes if hasattr(part, size)}
            for name, part in parts.items()
            if part is not None
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the names of the classes, where none were given, and builds the localizer as it was."""
        ours = checkpoint.get("spanloc", {})
        self.classes = self.classes or list(ours.get("classes", ()))
        self.window = self.window or ours.get("window")
        self.input = self.input or record(InputFacts | None, ours.get("input"), "input")
        if ours.get("facts"):
            self.build(record(DataFacts, ours["facts"], "facts"))
        if self.localizer is None:
            raise ValueError(
                "the checkpoint is of a localizer that was given built, and this one is a function that builds "
                "one from facts of the training data, which the checkpoint has not: give it built"
            )

    def saved(self) -> dict[str, Any]:
        """What a file needs beside the weights to build the module again, as plain values."""
        return {
            "config": self.config,
            "classes": self.classes,
            "facts": self.facts and asdict(self.facts),
            "window": self.window,
            "input": self.input and asdict(self.input),
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what :func:`spanloc.load` and :meth:`on_load_checkpoint` need."""
        checkpoint["spanloc"] = {
            **self.saved(),
            # They describe the parts, and are no arguments to build this from.
            "hparams": checkpoint.pop(self.CHECKPOINT_HYPER_PARAMS_KEY, {}),
        }
        checkpoint.pop(self.CHECKPOINT_HYPER_PARAMS_NAME, None)
