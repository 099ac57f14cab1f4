"""Trained models as folders of safetensors, which the Hugging Face Hub knows: the extra ``hub``."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from spanloc.config.build import build
from spanloc.config.checkpoint import load
from spanloc.files import pip_install, read_bytes, read_json, record, replacing, write_json
from spanloc.inference.export import decode_options
from spanloc.training.task import SpanLocalizer

try:
    from huggingface_hub import ModelHubMixin, snapshot_download
    from safetensors import SafetensorError
    from safetensors import torch as safetensors
except ImportError as error:
    raise ImportError(
        f"this needs huggingface_hub and safetensors: {pip_install('hub')}"
    ) from error

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_LARGEST_CONFIG = 10_000_000
_CARD = """---
{{ card_data }}
---

A model of spanloc: it says where in a sequence something starts and ends.

```python
from spanloc.inference.pretrained import PretrainedLocalizer

model = PretrainedLocalizer.from_pretrained("this repository, or its folder")
print(model.predict(values, rate).to_pandas())
```
"""


class PretrainedLocalizer(
    SpanLocalizer,
    ModelHubMixin,
    model_card_template=_CARD,
    library_name="spanloc",
    tags=["temporal-localization", "time-series"],
):
    """A :class:`~spanloc.SpanLocalizer` with ``save_pretrained``, ``push_to_hub`` and ``from_pretrained``.

    A folder holds ``model.safetensors``, the weights; ``config.json``, what the model and its decoding are
    built from, the labels and the signals that it was trained on; and ``README.md``, unless there is one.
    The settings of its data and of its training stay behind: they name folders of the machine.

    >>> model = PretrainedLocalizer.of(spanloc.load("best.ckpt"))  # doctest: +SKIP
    >>> model.save_pretrained("walking")  # doctest: +SKIP
    >>> model = PretrainedLocalizer.from_pretrained("walking")  # doctest: +SKIP
    """

    @classmethod
    def of(cls, task: SpanLocalizer) -> "PretrainedLocalizer":
        """A trained model as one of these; they share their parts."""
        found = cls(
            task.localizer,
            task.criterion,
            task.decode,
            metrics=dict(task.val_metrics.items(keep_base=True)),
            optimizer=task.make_optimizer,
            scheduler=task.make_scheduler,
            classes=task.classes,
        )
        found.config, found.facts = task.config, task.facts
        found.window, found.input = task.window, task.input
        found.train(task.training)
        return found

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        allow: Iterable[str] = (),
        map_location: str | torch.device = "cpu",
        **download: Any,
    ) -> "PretrainedLocalizer":
        """A model from a folder, or from the Hub, in evaluation mode.

        No file can run code: weights are tensors, and what the config names must lie in spanloc or in a
        package of ``allow``, as for :func:`spanloc.load`.

        Args:
            pretrained_model_name_or_path: A folder of :meth:`save_pretrained`, or a name such as ``me/model``.
            allow: Names of further packages that may be built from, such as ``"theirs"``.
            map_location: Where the weights go.
            download: For :func:`huggingface_hub.snapshot_download`: ``revision``, ``token``, ``cache_dir``,
                ``force_download``, ``local_files_only``.

        Raises:
            FileNotFoundError: A file is missing in the folder.
            ValueError: A file is not what it should be, or names something that is not allowed.
        """
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            name = str(pretrained_model_name_or_path)
            files = [CONFIG, WEIGHTS]
            folder = Path(snapshot_download(name, allow_patterns=files, **download))
        content = read_json(folder / CONFIG, most=_LARGEST_CONFIG)
        ours = record(dict[str, Any], content, f"{folder / CONFIG}: it")
        try:
            weights = safetensors.load(read_bytes(folder / WEIGHTS))
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{folder / WEIGHTS}: not a file of safetensors: {error}") from None
        # One reader has all the checks.
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model.ckpt"
            torch.save({"spanloc": ours, "state_dict": weights}, path)
            try:
                return cls.of(load(path, allow=allow, map_location=map_location))
            except ValueError as error:
                raise ValueError(str(error).replace(str(path), str(folder))) from None

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write the folder; ``push_to_hub=True, repo_id="me/model"`` uploads it too.

        Raises:
            ValueError: The model has no config, or another decoding than its config says.
            OSError: Writing failed.
        """
        # The mixin removes an earlier config first.
        self._content()
        url: str | None = super().save_pretrained(save_directory, **options)
        return url

    def _save_pretrained(self, save_directory: Path) -> None:
        state = self.state_dict()
        # Tensors that share memory are refused.
        weights = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
        with replacing(save_directory / WEIGHTS) as file:
            file.write_bytes(safetensors.save(weights, metadata={"format": "pt"}))
        write_json(save_directory / CONFIG, self._content())

    def _content(self) -> dict[str, Any]:
        if self.config is None:
            raise ValueError(
                "this model was built in plain Python, so there is no config to rebuild it from; "
                "train it with spanloc-train, or keep its state_dict"
            )
        parts = self.config["module"].items()
        module = {name: part for name, part in parts if name not in ("optimizer", "scheduler")}
        self._require_same_decode(module.get("decode"))
        config = {"module": module, "seconds_per_step": self.config.get("seconds_per_step")}
        return self.saved() | {"config": config}

    def _require_same_decode(self, node: Any) -> None:
        there = decode_options(self.decode)
        saved = decode_options(build(node) if node else type(self.decode)())
        for name in there:
            if json.dumps(there[name]) != json.dumps(saved.get(name)):
                raise ValueError(
                    f"decode.{name} is {there[name]}; in the config, from which the model is built "
                    f"again, it is {saved.get(name)}: set it there too (config['module']['decode'])"
                )
