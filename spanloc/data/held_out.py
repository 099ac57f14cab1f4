"""Recordings to hold out where no file says so, and the share that is trained on."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import torch

from spanloc.data.annotations.folder import SUBSETS, Record
from spanloc.data.annotations.placed import as_stretches, merged
from spanloc.data.sequences import clipped
from spanloc.data.signals import Stretch
from spanloc.data.signals.reading import listed
from spanloc.files import counted, shown, time_text
from spanloc.structures import Timeline

#: How a note begins where there is no more than one subject to learn from.
ONE_SUBJECT = "trained on one subject only"
# Draws to choose from, where the first lacks a label.
_DRAWS = 50


def hold_out(
    records: Sequence[Record], share: float, seed: int, least: int = 1
) -> tuple[list[Record], list[Record]]:
    """Recordings that remain, of ``least`` subjects where there are as many, and those that are held out.

    Subjects are drawn at random. Where that leaves no span of a label to train on, or none to evaluate, the
    best of 50 draws is taken: first every label remains, then spans are held out, then of every label.
    Of a single subject, recordings are drawn; of a single recording, the last stretch is held out.
    """
    groups = _groups(records)
    if len(groups) == 1:
        rest, end = _cut_at_the_end(records[0], share)
        return [rest], [end]
    draws = (_draw(groups, share, f"{seed} {i}" if i else f"{seed}", least) for i in range(_DRAWS))
    held, lack = next(draws), _lack(groups, least)
    if any(lack(held)):
        held = min((held, *draws), key=lack)
    kept = sorted(set(groups) - set(held))
    return [r for name in kept for r in groups[name]], [r for n in held for r in groups[n]]


def required_fold(folds: int | None, fold: int | None) -> tuple[int, int] | None:
    """The fold to evaluate on and the number of folds, checked; None for two None."""
    if folds is None and fold is None:
        return None
    if folds is None or fold is None or folds < 2 or fold not in range(folds):
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
    groups = _groups(records)
    if len(groups) < folds:
        by_subject = any(record.subject for record in records) and len(groups) < len(records)
        what = "subject" if by_subject else "recording"
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
    for name in sorted(groups, key=lambda n: (-float(shares[n].sum()), _hashed(f"{seed} {n}"))):
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


def _groups(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Recordings by subject; each on its own where it names none, or where all are of one subject."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.subject or f"sequence {record.id}", []).append(record)
    return groups if len(groups) > 1 else {record.id: [record] for record in records}


def _cut_at_the_end(record: Record, share: float) -> tuple[Record, Record]:
    """A recording without its end, and the end: about that share of its time and of its spans."""
    steps, count = record.num_steps, len(record.spans)
    starts, ends = record.spans.double().sort(dim=0).values.unbind(1)
    # Between spans that begin after a place and those that end before it; where all overlap, at a start.
    before, after = ends[:-1], starts[1:]
    apart = before <= after
    places = torch.where(apart, (before + after) / 2, after)
    held = torch.arange(len(places), 0, -1) / count
    fits = (places >= 1) & (places <= steps - 1) & (apart if apart.any() else ~apart)
    places, held = places[fits], held[fits]
    if not len(places):
        raise ValueError(
            f"{record.id!r} is the only recording, and has {counted(count, 'span')}: no part of it can be "
            "held out; set data.val_share=0, data.test_share=0 and test=false"
        )
    off = (held - share).abs() + (1 - places / steps - share).abs()
    middle = round(places[off.argmin()].item())
    return _stretch(record, 0, middle), _stretch(record, middle, steps)


def _stretch(record: Record, first: int, last: int) -> Record:
    spans, labels, ignored = clipped(record, first, last, 0.5)
    # What is left of a span that is cut is neither one nor background.
    rest = record.spans.clamp(first, last)
    size, whole = rest.diff(dim=1)[:, 0], record.spans.diff(dim=1)[:, 0]
    rest = rest[(size > 0) & (size < 0.5 * whole)] - first
    step, offset = record.timeline
    return replace(
        record,
        signal=Stretch(record.signal, first, last),
        timeline=Timeline(step, offset + first * step),
        spans=spans,
        labels=labels,
        ignored=as_stretches(merged([*ignored.tolist(), *rest.tolist()])),
    )


def _draw(groups: Mapping[str, list[Record]], share: float, salt: str, least: int) -> list[str]:
    """Subjects with about that share of the recordings."""
    # By a hash, so that a recording that is added later does not shuffle the others.
    names = sorted(groups, key=lambda name: _hashed(f"{salt} {name}"))
    records = [record for group in groups.values() for record in group]
    spans = sum(len(record.spans) for record in records)
    most = max(1.0, 1.5 * share * len(records))

    def fits(held: list[str]) -> bool:
        # Nobody who has most of the recordings or all spans: there would be nothing to train on.
        own = [record for name in held for record in groups[name]]
        return len(own) <= most and not (spans and sum(len(r.spans) for r in own) == spans)

    held: list[str] = []
    for name in names:
        count = sum(len(groups[chosen]) for chosen in held)
        if held and (count >= share * len(records) or len(names) - len(held) <= least):
            break
        if fits([*held, name]):
            held.append(name)
    return held or [min(names, key=lambda name: len(groups[name]))]


def _hashed(text: str) -> bytes:
    # The bytes of the name of a file need not be text.
    return sha256(text.encode(errors="replace")).digest()


def _lack(
    groups: Mapping[str, list[Record]], least: int
) -> Callable[[list[str]], tuple[int, bool, int, int]]:
    """Counts of what a draw lacks: labels to train on, spans to evaluate, labels for later draws and to evaluate."""
    labels = {
        name: {k for r in own for k in r.labels.tolist() if k >= 0} for name, own in groups.items()
    }
    subjects = Counter(label for own in labels.values() for label in own)

    def lack(held: list[str]) -> tuple[int, bool, int, int]:
        there = Counter(label for name in held for label in labels[name])
        left = {label: count - there[label] for label, count in subjects.items()}
        return (
            sum(not left[label] for label in subjects),
            bool(subjects) and not there,
            sum(left[label] < min(least, count - 1) for label, count in subjects.items()),
            sum(not there[label] for label, count in subjects.items() if count > 1),
        )

    return lack


def held_out_note(records: Sequence[Record], what: str) -> str:
    """A note of the recordings that are held out."""
    only = len(records) == 1 and isinstance(records[0].signal, Stretch)
    return f"held out for {what}: {named(records)}" + "; there is no other recording" * only


def named(records: Sequence[Record]) -> str:
    """Names of some recordings: the subjects, where all of them name theirs."""
    if len(records) == 1 and isinstance(records[0].signal, Stretch):
        step, begin = records[0].timeline
        end = begin + records[0].num_steps * step
        return f"{shown(records[0].id)} from {time_text(begin)} to {time_text(end)}"
    by_subject = dict.fromkeys(record.subject for record in records)
    if by_subject and None not in by_subject:
        kind = "subject" + "s" * (len(by_subject) > 1)
        names = listed(sorted(map(str, by_subject)), 5)
        return f"{kind} {names} ({counted(len(records), 'recording')})"
    return listed([record.id for record in records], 5)


def subject_pattern(ids: Sequence[str]) -> str:
    """The setting that takes the first part of each id for its subject, and what it finds, where this divides them.

    >>> subject_pattern(["s1_a", "s1_b", "s2_a", "s2_b"]).partition(" ")[2]
    "(2 subjects: 's1', 's2')"
    """
    for pattern in ("^([^/]+)/", "^([^/_-]+)[_-]"):
        found = [match[1] for name in ids if (match := re.search(pattern, name))]
        subjects = list(dict.fromkeys(found))
        fits = len(found) == len(ids) and 1 < len(subjects) <= len(ids) / 2
        if fits and not {*subjects} & {*SUBSETS}:
            return f"'data.subject_pattern=\"{pattern}\"' ({len(subjects)} subjects: {listed(subjects, 3)})"
    return ""


def nested_share(records: Sequence[Record], share: float, seed: int) -> list[Record]:
    """A share of the recordings, at least one, in their order; a larger share contains a smaller one.

    One with spans is the first that is drawn, since there is nothing to learn without any.
    """
    drawn = sorted(records, key=lambda record: _hashed(f"{seed} {record.id}"))
    first = next((record for record in drawn if len(record.spans)), drawn[0])
    drawn = [first, *(record for record in drawn if record is not first)]
    taken = {record.id for record in drawn[: max(1, round(share * len(drawn)))]}
    return [record for record in records if record.id in taken]


def training_notes(
    records: Sequence[Record], count: int, val: Sequence[Record], test: Sequence[Record]
) -> list[str]:
    """Notes on the recordings that are trained on, of ``count`` that could be."""
    found = [f"trained on {len(records)} of {count} recordings"] if len(records) < count else []
    subjects = {record.subject for record in records}
    if len(subjects) == 1 and None not in subjects:
        settings = {"data.val_share=0": val, "data.test_share=0 test=false": test}
        more = [name for name, own in settings.items() if {r.subject for r in own} - subjects]
        text = "There is no other, so no result says how good the model is for others"
        if more:
            text = f"To train on more subjects: {', or '.join(more)}"
        found.append(f"{ONE_SUBJECT}, {shown(*subjects)}. {text}")
    return found


def subject_notes(ids: Sequence[str]) -> list[str]:
    """A note for recordings that name no subjects, where their names seem to."""
    text = "no subjects are named, so test recordings may be of subjects that are also in training"
    pattern = subject_pattern(ids)
    return [f"{text}; if subjects are in the names: {pattern}"] if pattern else []


def lacking_notes(
    classes: Sequence[str], train: Sequence[Record], val: Sequence[Record], test: Sequence[Record]
) -> list[str]:
    """Notes on labels without a span to train on, and on subsets without a span to evaluate."""
    there = {label for record in train for label in record.labels.tolist()}
    names = [name for label, name in enumerate(classes) if label not in there]
    found = [f"no span to train on: {listed(names, 5)}"] if names else []
    for what, key, own in (("validation", "val", val), ("testing", "test", test)):
        if own and not any(len(record.spans) for record in own):
            found.append(f"no span in the recordings for {what}: {key}/mAP says nothing")
    return found
