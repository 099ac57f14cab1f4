"""Recordings to hold out where no file says so, and the share that is trained on."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from spanloc.data.annotations.folder import SUBSETS, Record
from spanloc.data.ends import cut_at_the_end, cut_ends
from spanloc.data.folds import by_subject, fold_of, hashed
from spanloc.data.signals import Stretch
from spanloc.data.signals.reading import listed
from spanloc.files import counted, shown, time_text

#: How a note begins where there is no more than one subject to learn from.
ONE_SUBJECT = "only one subject to train on"
# The largest part of the time that one subject or recording may have for it to validate: of more, the model
# would miss too much of what it could learn.
_MOST_TO_VALIDATE = 0.4
# Draws to choose from, where the first lacks a label.
_DRAWS = 50


def divided(
    subsets: Mapping[str, list[Record]],
    *,
    test_share: float,
    val_share: float,
    seed: int,
    fold: tuple[int, int] | None = None,
) -> tuple[dict[str, list[Record]], list[str]]:
    """The recordings of each subset, where some are held out too, and notes on these.

    Args:
        subsets: As the files say them.
        test_share, val_share, seed: As of :class:`~spanloc.data.AnnotatedData`.
        fold: The fold to evaluate on and the number of folds, whatever the subsets are.
    """
    train, val, test = (subsets[name] for name in SUBSETS)
    everything, notes = [*train, *val, *test], []
    if fold:
        val, (train, test) = [], fold_of(everything, *fold, seed)
        notes.append(f"fold {fold[0]}: {held_out_note(test, 'testing', train)}")
    elif not test and test_share:
        least = 1 if val else 2  # somebody is to validate too
        train, test = hold_out(train, test_share, seed, least)
        notes.append(held_out_note(test, "testing", train))
    if not val and val_share:
        train, val = hold_out(train, val_share, seed, most=_MOST_TO_VALIDATE)
        notes.append(held_out_note(val, "validation", train))
    if notes and not any(record.subject for record in everything):
        notes += subject_notes([record.id for record in everything])
    return dict(zip(SUBSETS, (train, val, test), strict=True)), notes


def hold_out(
    records: Sequence[Record], share: float, seed: int, least: int = 1, most: float = 1.0
) -> tuple[list[Record], list[Record]]:
    """Recordings that remain, of ``least`` subjects where there are as many, and those that are held out.

    Subjects are drawn at random. Where that leaves no span of a label to train on, or none to evaluate, the
    best of 50 draws is taken: first every label remains, then spans are held out, then of every label.
    Of a single subject, or where each subject has more than ``most`` of the time, or no draw leaves every
    label, recordings are drawn, whatever their subjects. Where that is so of recordings too, the end of each
    is held out.

    Raises:
        ValueError: There is a single recording, and its end cannot be cut off.
    """
    if len(records) == 1:
        rest, end = cut_at_the_end(records[0], share)
        return [rest], [end]
    drawn: list[tuple[list[Record], list[Record]]] = []
    for groups in (by_subject(records), {record.id: [record] for record in records}):
        sizes = [sum(record.num_steps for record in group) for group in groups.values()]
        if len(groups) > 1 and min(sizes) <= most * sum(sizes):
            parts, lost = _drawn(groups, share, seed, least)
            if not lost:
                return parts
            drawn.append(parts)
    rests, ends = cut_ends(records, share)
    if ends:
        return rests, ends
    return drawn[0] if drawn else _drawn(groups, share, seed, least)[0]


def _drawn(
    groups: Mapping[str, list[Record]], share: float, seed: int, least: int
) -> tuple[tuple[list[Record], list[Record]], int]:
    """As :func:`hold_out`, of these groups, and how many labels have no span to train on then."""
    draws = (_draw(groups, share, f"{seed} {i}" if i else f"{seed}", least) for i in range(_DRAWS))
    held, lack = next(draws), _lack(groups, least)
    if any(lack(held)):
        held = min((held, *draws), key=lack)
    kept = sorted(set(groups) - set(held))
    parts = [[record for name in names for record in groups[name]] for names in (kept, held)]
    return (parts[0], parts[1]), lack(held)[0]


def _draw(groups: Mapping[str, list[Record]], share: float, salt: str, least: int) -> list[str]:
    """Subjects with about that share of the recordings."""
    names = sorted(groups, key=lambda name: hashed(f"{salt} {name}"))
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


def held_out_note(records: Sequence[Record], what: str, others: Sequence[Record] = ()) -> str:
    """A note of the recordings that are held out from the others."""
    why = ""
    if records and isinstance(records[0].signal, Stretch):
        alone = len({record.id for record in (*records, *others)}) == 1
        few = "there are too few recordings to hold out whole ones"
        why = f"; {'there is no other recording' if alone else few}"
    elif {record.subject for record in records} & {record.subject for record in others} - {None}:
        why = "; other recordings of the same subjects are trained on"
    return f"held out for {what}: {named(records, others)}{why}"


def named(records: Sequence[Record], others: Sequence[Record] = ()) -> str:
    """Names of some recordings: the subjects, where all of them name theirs, and the others have none of these."""
    if records and all(isinstance(record.signal, Stretch) for record in records):
        places = [(record.id, *map(time_text, record.seconds)) for record in records]
        texts = [f"{shown(name)} from {begin} to {end}" for name, begin, end in places]
        return ", ".join(texts[:5]) + f" and {len(texts) - 5} more" * (len(texts) > 5)
    subjects = dict.fromkeys(record.subject for record in records)
    apart = subjects.keys().isdisjoint(record.subject for record in others)
    if subjects and None not in subjects and apart:
        kind = "subject" + "s" * (len(subjects) > 1)
        names = listed(sorted(map(str, subjects)), 5)
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
    drawn = sorted(records, key=lambda record: hashed(f"{seed} {record.id}"))
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
        found.append(f"{ONE_SUBJECT}: {shown(*subjects)}. {text}")
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
