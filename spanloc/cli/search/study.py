"""A study in a folder that several processes work on: Optuna's journal, and the process of each trial."""

import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from spanloc.cli.run.resume import is_alive
from spanloc.config.build import build, resolve
from spanloc.files import write_text

#: Of the study: the file that holds all of it.
JOURNAL = "journal.log"
# Of the study: numbers of the trials that were killed. Of a trial: whose parameters it has.
_KILLED, _AGAIN = "killed", "again"


class SharedStudy:
    """A study that gives each trial to one process, whatever becomes of the others.

    Args:
        space: Distributions by name.
        sampler, pruner: Plain config nodes of Optuna's. A sampler that takes a seed and is given none has
            one of its own for each trial, so that a study that was interrupted goes on as it would have.
        num_trials: Of all processes together, without those that were killed.
        take_over: Trials that run on other machines count as lost when the study is opened.
    """

    def __init__(
        self,
        folder: Path,
        direction: Literal["maximize", "minimize"],
        space: Mapping[str, BaseDistribution],
        *,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any] | None,
        num_trials: int,
        seed: int,
        take_over: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder, self.num_trials = folder, num_trials
        self._space, self._sampler, self._seed = dict(space), dict(sampler), seed
        folder.mkdir(parents=True, exist_ok=True)
        # Who has it, alone looks at the study and takes trials from it.
        self._lock = folder / "study"
        with _locked(self._lock):
            _mend(folder / JOURNAL)
            journal = str(folder / JOURNAL)
            backend = JournalFileBackend(journal, lock_obj=JournalFileOpenLock(journal))
            self.study = optuna.create_study(
                storage=JournalStorage(backend),
                study_name="study",
                direction=direction,
                sampler=self._sampler_of(0),
                pruner=optuna.pruners.NopPruner() if pruner is None else _quietly(pruner),
                load_if_exists=True,
            )
            self._give_back(take_over)

    def trials(self) -> list[FrozenTrial]:
        """All of them, by number."""
        return self.study.get_trials(deepcopy=False)

    def killed(self) -> set[int]:
        """Numbers of the trials that were given back."""
        return set(self.study.user_attrs.get(_KILLED, ()))

    def next_trial(self) -> Trial | None:
        """A trial for this process; None where all have been taken."""
        with _locked(self._lock):
            self._give_back(take_over=False)
            killed = self.killed()
            taken = sum(
                t.state != TrialState.WAITING and t.number not in killed for t in self.trials()
            )
            if taken >= self.num_trials:
                return None
            # Trials that were killed are not counted: what comes after them is what it would have been.
            self.study.sampler = self._sampler_of(taken)
            trial = self.study.ask(self._space)
            pid = os.getpid()
            for name, value in (
                ("host", platform.node()),
                ("pid", pid),
                ("started", _started(pid)),
            ):
                trial.set_user_attr(name, value)
        return trial

    def release(self, trial: Trial) -> None:
        """Give back a trial that this process cannot finish: its parameters are tried again."""
        with _locked(self._lock):
            self._fail(next(t for t in self.trials() if t.number == trial.number))

    def _give_back(self, take_over: bool) -> None:
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and _is_lost(trial.user_attrs, take_over):
                self._fail(trial)
                if (folder := trial_folder(self.folder, trial.number)).is_dir():
                    write_text(folder / "error.txt", "killed\n")

    def _fail(self, trial: FrozenTrial) -> None:
        # In an order that can be cut off anywhere, and done again.
        killed = self.killed()
        self.study.set_user_attr(_KILLED, sorted({*killed, trial.number}))
        if all(t.user_attrs.get(_AGAIN) != trial.number for t in self.trials()):
            params = trial.system_attrs.get("fixed_params", {}) | trial.params
            self.study.enqueue_trial(params, user_attrs={_AGAIN: trial.number})
        self.study.tell(trial.number, state=TrialState.FAIL)

    def _sampler_of(self, position: int) -> Any:
        node = dict(self._sampler)
        if (
            "seed" not in node
            and "seed" in signature(resolve("sampler", node["_target_"])).parameters
        ):
            node["seed"] = int(np.random.SeedSequence([self._seed, position]).generate_state(1)[0])
        return _quietly(node)


def trial_folder(folder: Path, number: int) -> Path:
    """The run folder of a trial."""
    return folder / "trials" / f"{number:04}"


def _quietly(node: Mapping[str, Any]) -> Any:
    # The user chose what Optuna calls experimental.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return build(dict(node))


def _mend(journal: Path) -> None:
    # Of a process that was killed as it wrote, half a line may be left, to which the next would be added.
    if not journal.is_file():
        return
    with _locked(journal):
        content = journal.read_bytes()
        if content and not content.endswith(b"\n"):
            os.truncate(journal, content.rfind(b"\n") + 1)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = JournalFileOpenLock(str(path))
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_lost(worker: Mapping[str, Any], take_over: bool) -> bool:
    # Without these attributes: its process was killed before it could set them.
    pid = worker.get("pid")
    if pid is None or "started" not in worker:
        return True
    if worker["host"] != platform.node():
        return take_over
    return not is_alive(pid) or _started(pid) != worker["started"]


def _started(pid: int) -> str | None:
    # The number of a process may become that of another. Where there is no /proc that is not noticed.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
