"""``spanloc-tune``: search the settings of a training with Optuna."""

import logging
import math
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from spanloc.cli.frame.arguments import name_of
from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.show import plain_console
from spanloc.cli.run.resume import SETTINGS, given_settings, save_settings, saved_settings
from spanloc.cli.run.settings import without_hydra
from spanloc.config.build import as_values
from spanloc.config.checks import check
from spanloc.files import counted, pip_install, record, require_whole, write_json, write_text
from spanloc.reports.study import StudyResult, TrialResult, study_page

try:
    import optuna
except ImportError:
    raise ValueError(f"spanloc-tune needs optuna: {pip_install('tune')}") from None

from optuna.trial import FrozenTrial, Trial, TrialState

from spanloc.cli.search.space import ends, override, search_space
from spanloc.cli.search.study import SharedStudy, trial_folder
from spanloc.cli.search.trial import (
    ReportToTrial,
    composed,
    first_look,
    reason,
    run_trial,
)

Direction = Literal["maximize", "minimize"]
log = logging.getLogger(__name__)
# Settings of this command alone; those beside hparams_search may differ when a study goes on.
_FREE = ("num_trials", "sampler", "pruner", "take_over")
_OWN = (*_FREE, "direction", "hparams_search")
_STATES = {"complete": "finished", "fail": "failed"}
# Importances of fewer trials are noise.
_LEAST_TRIALS = 4
_MOST_NAMED = 3


def run(config: DictConfig) -> None:
    """Run ``spanloc-tune``."""
    folder = run_folder()
    own = {name: as_values(config[name]) for name in _OWN}
    _check(own)
    space = search_space(own["hparams_search"])
    given = [text for text in HydraConfig.get().overrides.task if not _is_of(text, _OWN)]
    fixed = [name for name in space if any(_is_of(text, (name,)) for text in given)]
    for name in fixed:
        del space[name]
    if not space:
        raise ValueError("hparams_search has nothing to search")
    settings = [*given, "test=false"]
    first, *others = ([*settings, *_overrides(params)] for params in ends(space))
    where = trial_folder(folder, 0)
    with _naming_the_search(space):
        for some in others if not (folder / SETTINGS).is_file() else ():
            check(as_values(without_hydra(composed(some, where))))
        plain, objective = first_look(first, where)
    direction = _direction(own["direction"], objective, plain)
    _keep_settings(folder, plain["data"].get("root"))
    words = [text for text in given_settings(None) if text.startswith("--config-dir=")] + given
    for name in fixed:
        log.info("%s is set, so it is not searched", name)
    study = SharedStudy(
        folder, direction, space, sampler=own["sampler"], pruner=own["pruner"],
        num_trials=own["num_trials"], seed=plain["seed"], take_over=own["take_over"],
    )  # fmt: skip
    monitor = plain["callbacks"]["best"]["monitor"] if plain["callbacks"].get("best") else None
    prunes = own["pruner"] is not None and monitor == objective
    while (trial := study.next_trial()) is not None:
        _run_one(study, trial, settings, monitor if prunes else None)
        write_json(folder / "study.json", _result(study, objective, words))
    result = _result(study, objective, words)
    write_json(folder / "study.json", result)
    logarithmic = {name for name, kind in space.items() if getattr(kind, "log", False)}
    page = study_page(result, _importances(study), logarithmic=logarithmic)
    write_text(folder / "study.html", page)
    _show(result, folder)
    # Of another worker, which has printed it.
    (folder / "error.txt").unlink(missing_ok=True)
    if failed := [t for t in result.trials if t.state == "failed"]:
        shown = "; ".join(f"trial {t.number}: {t.error}" for t in failed[:_MOST_NAMED])
        more = f"; and {left} more" if (left := len(failed) - _MOST_NAMED) > 0 else ""
        raise ValueError(f"{counted(len(failed), 'trial')} failed: {shown}{more}")


def _check(own: Mapping[str, Any]) -> None:
    require_whole("num_trials", own["num_trials"], 1)
    record(bool, own["take_over"], "take_over")
    if own["direction"] not in (None, "maximize", "minimize"):
        raise ValueError(f"direction is {own['direction']!r}; wanted maximize or minimize")
    for name in ("sampler", "pruner"):
        node = own[name]
        described = isinstance(node, Mapping) and "_target_" in node
        if not described and (name, node) != ("pruner", None):
            raise ValueError(f"{name} is {node!r}; wanted {name}._target_=optuna.{name}s.NAME")
        check({name: node})


@contextmanager
def _naming_the_search(space: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except HydraException as error:
        found = re.match(r"Could not override '([^']+)'", str(error))
        if found is None or found[1] not in space:
            raise
        raise ValueError(
            f"hparams_search: there is no setting {found[1]!r} in a run with these settings and data "
            "(hparams_search=one_span is for one span per sequence)"
        ) from error


def _direction(wanted: Direction | None, objective: str, plain: Mapping[str, Any]) -> Direction:
    best = plain["callbacks"].get("best") or {}
    if wanted is not None:
        return wanted
    if objective != best.get("monitor"):
        raise ValueError(f"direction is not set; objective={objective} wants maximize or minimize")
    return "minimize" if best.get("mode") == "min" else "maximize"


def _keep_settings(folder: Path, root: object) -> None:
    """Write what the command line set; of a study that goes on, refuse other settings than it has."""
    if (folder / SETTINGS).is_file():
        before, now = (
            {text for text in settings if not _is_of(text, _FREE)}
            for settings in (saved_settings(folder), given_settings(root))
        )
        if changed := sorted(before ^ now):
            raise ValueError(
                f"{folder}: a study with other settings is here ({', '.join(changed)} is of one of them "
                f"only); resume={folder} goes on with it, and may change {', '.join(_FREE)}"
            )
    save_settings(folder, root)


def _run_one(study: SharedStudy, trial: Trial, settings: list[str], monitor: str | None) -> None:
    overrides = _overrides(trial.params)
    log.info("trial %d: %s", trial.number, ", ".join(overrides))
    folder = trial_folder(study.folder, trial.number)
    callbacks = [] if monitor is None else [ReportToTrial(trial, monitor)]
    value, failure = math.nan, None
    try:
        value = run_trial([*settings, *overrides], folder, callbacks)
    except Exception as error:  # whatever one trial fails with, the others go on
        failure = error
    except BaseException:
        study.release(trial)
        raise
    if isinstance(failure, optuna.TrialPruned):
        study.study.tell(trial, state=TrialState.PRUNED)
        log.info("trial %d was pruned after validation %d", trial.number, callbacks[0].count)
    elif failure is not None:
        trial.set_user_attr("error", reason(failure))
        study.study.tell(trial, state=TrialState.FAIL)
        log.error("trial %d failed: %s", trial.number, reason(failure))
    else:
        study.study.tell(trial, value)
        best = study.study.best_trial
        log.info(
            "trial %d: %.4f; the best so far is %.4f, of trial %d",
            *(trial.number, value, best.value, best.number),
        )


def _overrides(params: Mapping[str, Any]) -> list[str]:
    return [override(name, value) for name, value in params.items()]


def _is_of(setting: str, names: tuple[str, ...]) -> bool:
    # One of these settings, or below one.
    return any(f"{name_of(setting)}.".startswith(f"{n}.") for n in names)


def _result(study: SharedStudy, objective: str, given: list[str]) -> StudyResult:
    killed = study.killed()
    trials = [_trial(trial, killed) for trial in study.trials()]
    finished = [t for t in trials if t.state == "finished"]
    up = study.study.direction == optuna.study.StudyDirection.MAXIMIZE
    best = max(finished, key=lambda t: (t.value if up else -t.value, -t.number), default=None)
    command = ["spanloc-train", *given, *_overrides(best.params)] if best is not None else []
    return StudyResult(
        objective=objective,
        direction="maximize" if up else "minimize",
        best=None if best is None else best.number,
        command=shlex.join(command),
        trials=trials,
    )


def _trial(trial: FrozenTrial, killed: set[int]) -> TrialResult:
    state = trial.state.name.lower()
    return TrialResult(
        number=trial.number,
        state="killed" if trial.number in killed else _STATES.get(state, state),
        value=math.nan if trial.value is None else trial.value,
        seconds=math.nan if trial.duration is None else trial.duration.total_seconds(),
        params=trial.params,
        error=trial.user_attrs.get("error", ""),
    )


def _importances(study: SharedStudy) -> dict[str, float]:
    if sum(t.state == TrialState.COMPLETE for t in study.trials()) < _LEAST_TRIALS:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return optuna.importance.get_param_importances(study.study, evaluator=evaluator)
        except (ValueError, RuntimeError, ArithmeticError):  # such as trials that are all alike
            return {}


def _show(result: StudyResult, folder: Path) -> None:
    lines = [f"{result.summary()}."]
    if result.best is not None:
        best = next(t for t in result.trials if t.number == result.best)
        checkpoint = f"checkpoint={trial_folder(folder, best.number) / 'best.ckpt'}"
        lines += [
            f"The best is trial {best.number}, {result.objective} {best.value:.4f}. To train it:",
            f"  {result.command}",
            "To test the model of this trial without training again:",
            f"  spanloc-evaluate {shlex.quote(checkpoint)}",
        ]
    plain_console().print(*lines, f"The page is {folder / 'study.html'}", sep="\n")
