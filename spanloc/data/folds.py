"""Folds of cross-validation."""

from collections.abc import Sequence
from hashlib import sha256

import torch

from spanloc.data.annotations.records import Record
from spanloc.files import counted


def required_fold(folds: int | None, fold: int | None) -> tuple[int, int] | None:
    """The fold to evaluate on and the number of folds, checked; None for two None."""
    if folds is None and fold is None:
        return None
    if not (isinstance(folds, int) and folds > 1 and fold is not None and fold in range(folds)):
        raise ValueError(
            f"data.folds is {folds} and data.fold is {fold}; wanted a number of folds, 2 or more, and one of "
            "them, from 0, such as data.folds=5 data.fold=0"
        )
    return fold, folds


def fold_of(
    records: Sequence[Record], fold: int, folds: int, seed: int
) -> tuple[list[Record], list[Record]]:
    """Recordings that remain, and those of one of the folds of cross-validation, from 0.

    Each subject is in one fold. The folds have about the same number of steps, and of spans of each label. If
    there are as many folds as subjects, they are in the order of their names.

    Raises:
        ValueError: There are more folds than subjects, or than recordings of a single subject.
    """
    groups = by_subject(records)
    if len(groups) < folds:
        what = "recording" if len(groups) == len(records) else "subject"
        raise ValueError(
            f"data.folds is {folds}, but there are only {counted(len(groups), what)}: "
            f"each fold needs one; wanted data.folds={len(groups)} or fewer"
        )
    labels = max(
        (int(record.labels.max()) + 1 for record in records if len(record.labels)), default=0
    )
    sizes = {name: _sizes(own, labels) for name, own in groups.items()}
    whole = torch.stack(list(sizes.values())).sum(dim=0).clamp(min=1)
    shares = {name: size / whole for name, size in sizes.items()}
    members, filled = [list[str]() for _ in range(folds)], torch.zeros(folds, labels + 1)
    # The largest first, each to the fold that has least of what it brings; equal ones in the order of the draw.
    for name in sorted(groups, key=lambda n: (-float(shares[n].sum()), hashed(f"{seed} {n}"))):
        place = int((filled @ shares[name]).argmin())
        members[place].append(name)
        filled[place] += shares[name]
    held = sorted(members, key=min)[fold]
    kept = sorted(set(groups) - set(held))
    return [r for name in kept for r in groups[name]], [r for n in sorted(held) for r in groups[n]]


def _sizes(records: Sequence[Record], labels: int) -> torch.Tensor:
    """How many spans of each label some recordings have, and how many steps, ``(labels + 1,)``."""
    found = torch.cat([record.labels for record in records])
    counts = torch.bincount(found[found >= 0], minlength=labels)
    return torch.cat([counts, torch.tensor([sum(r.num_steps for r in records)])]).float()


def by_subject(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Recordings by subject; each on its own where it names none, or where all are of one subject."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.subject or f"sequence {record.id}", []).append(record)
    return groups if len(groups) > 1 else {record.id: [record] for record in records}


def hashed(text: str) -> bytes:
    """The order of a draw: a hash, so that a recording that is added later does not shuffle the others."""
    # The bytes of the name of a file need not be text.
    return sha256(text.encode(errors="replace")).digest()
