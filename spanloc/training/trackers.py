"""Loggers of W&B, MLflow and trackio."""

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spanloc.files import leaves
from spanloc.training.tracking import Tracker

# Of MLflow's own 7 tries the last one comes after minutes.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_MOST_ROWS, _MOST_PARAMETERS, _MOST_CHARACTERS = 1000, 100, 500
_SEND_SECONDS = 5.0


class WandbTracker(Tracker):
    """A run in Weights & Biases; offline it needs no account.

    Args:
        project, group, folder, run: As of :class:`~spanloc.training.tracking.Tracker`.
        offline: Whether the run stays on this machine, until ``wandb sync``; None: as ``WANDB_MODE`` and
            the settings of W&B have it.
        settings: Of ``wandb.Settings``.
        options: Of ``wandb.init``.
    """

    key = module = "wandb"

    def __init__(
        self,
        project: str,
        group: str,
        folder: str,
        *,
        run: str | None = None,
        offline: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(project, group, folder, run=run, **options)
        self.offline, self.settings = offline, settings or {}

    def _server(self) -> str | None:
        known = self._package.setup().settings  # environment and files
        online = known.mode in (None, "online") if self.offline is None else not self.offline
        return str(self.settings.get("base_url", known.base_url)) if online else None

    def _start(self, config: dict[str, Any], resumed: str | None) -> str:
        # What it cannot report of itself to its makers is not the user's concern.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        # What was not sent by then lies in the run folder, for wandb sync.
        waits = {"init_timeout": 30, "finish_timeout": 60, **self.settings}
        try:
            self._run = self._package.init(
                project=self.project,
                name=self.run,
                group=self.group,
                dir=self.folder,
                config=config,
                mode=None if self.offline is None else "offline" if self.offline else "online",
                id=resumed,
                resume="allow" if resumed else None,
                reinit="create_new",
                settings=self._package.Settings(**waits),
                **self.options,
            )
        except self._package.errors.UsageError as error:
            raise ValueError(f"{error} logger.wandb.offline=true needs no account") from error
        # By the name that Lightning's logger gives it.
        self._run.define_metric("trainer/global_step")
        self._run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return str(self._run.id)

    def _log(self, metrics: dict[str, float], step: int) -> None:
        self._run.log({**metrics, "trainer/global_step": step})

    def _image(self, name: str, path: Path, step: int) -> None:
        self._run.log({name: self._package.Image(str(path)), "trainer/global_step": step})

    def _end(self, status: str) -> None:
        # Exit codes as of a shell: W&B shows any but 0 as failed.
        self._run.finish(exit_code={"finished": 0, "failed": 1, "killed": 130}[status])


class MlflowTracker(Tracker):
    """A run in MLflow, on a server or in a local database.

    Args:
        project: Name of the experiment.
        group, folder, run: As of :class:`~spanloc.training.tracking.Tracker`; group and folder are tags.
        tracking_uri: Of the server or database; None: ``MLFLOW_TRACKING_URI``, or else
            ``runs/mlflow.db``.
        options: Of ``MlflowClient.create_run``.
    """

    key = module = "mlflow"

    def __init__(
        self,
        project: str,
        group: str,
        folder: str,
        *,
        run: str | None = None,
        tracking_uri: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(project, group, folder, run=run, **options)
        self.local = Path("runs").absolute()
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self.artifacts = None if uri else (self.local / "mlflow").as_uri()
        self.tracking_uri = uri or f"sqlite:///{self.local / 'mlflow.db'}"
        self._rows: list[Any] = []
        self._sent = time.monotonic()

    def _server(self) -> str | None:
        return self.tracking_uri if self.tracking_uri.startswith("http") else None

    def _start(self, config: dict[str, Any], resumed: str | None) -> str:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        # It logs how it makes its tables.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        if self.artifacts:
            self.local.mkdir(exist_ok=True)
        self._client = self._package.MlflowClient(self.tracking_uri)
        if resumed:
            # Its parameters cannot be changed.
            self._client.update_run(resumed, status="RUNNING")
            return resumed
        tags = {"group": self.group, "folder": str(self.folder)} | self.options.pop("tags", {})
        run = self._client.create_run(
            self._experiment(), run_name=self.run, tags=tags, **self.options
        )
        self.id = str(run.info.run_id)
        values = [
            self._package.entities.Param(
                re.sub(r"[^\w/. -]", "_", key)[:250], str(value)[:_MOST_CHARACTERS]
            )
            for key, value in leaves(config)
        ]
        for i in range(0, len(values), _MOST_PARAMETERS):
            self._client.log_batch(self.id, params=values[i : i + _MOST_PARAMETERS])
        return self.id

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.project)
        if found is None:
            try:
                made = self._client.create_experiment(self.project, self.artifacts)
                return str(made)
            except self._package.MlflowException:
                # Another run of a sweep may have been quicker.
                found = self._client.get_experiment_by_name(self.project)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _log(self, metrics: dict[str, float], step: int) -> None:
        metric, now = self._package.entities.Metric, int(time.time() * 1000)
        # mAP@0.50: names must do without the sign.
        self._rows += [
            metric(name.replace("@", "_at_"), value, now, step) for name, value in metrics.items()
        ]
        # Each request takes longer than a step of a small model.
        if time.monotonic() - self._sent > _SEND_SECONDS or len(self._rows) >= _MOST_ROWS // 2:
            self._send()

    def _send(self) -> None:
        rows, self._rows = self._rows, []
        for i in range(0, len(rows), _MOST_ROWS):
            self._client.log_batch(self.id, metrics=rows[i : i + _MOST_ROWS])
        self._sent = time.monotonic()

    def _image(self, name: str, path: Path, step: int) -> None:
        self._client.log_artifact(self.id, str(path), str(Path(name).parent))

    def _end(self, status: str) -> None:
        self._send()
        self._client.set_terminated(self.id, status.upper())


class TrackioTracker(Tracker):
    """A run in trackio: on this machine, on its server or in a Space of Hugging Face.

    Args:
        project, group, folder, run: As of :class:`~spanloc.training.tracking.Tracker`.
        options: Of ``trackio.init``, such as ``space_id``.
    """

    key = module = "trackio"

    def _server(self) -> str | None:
        return self.options.get("server_url") or os.environ.get("TRACKIO_SERVER_URL")

    def _start(self, config: dict[str, Any], resumed: str | None) -> str:
        self._run = self._package.init(
            project=self.project,
            name=self.run,
            group=self.group,
            config=dict(leaves(config)),
            resume="allow" if resumed else "never",
            embed=False,
            **self.options,
        )
        return str(self._run.name)

    def _log(self, metrics: dict[str, float], step: int) -> None:
        self._run.log(metrics, step=step)

    def _image(self, name: str, path: Path, step: int) -> None:
        self._run.log({name: self._package.Image(str(path))}, step=step)

    def _end(self, status: str) -> None:
        # It knows no status.
        self._run.finish()
