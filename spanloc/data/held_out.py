"""Which recordings are held out, where no file says so, and which are trained on."""

from collections.abc import Collection, Sequence
from hashlib import sha256

from spanloc.data.annotations.folder import Record
from spanloc.files import counted, shown

#: How a note begins where there is no more than one subject to learn from.
ONE_SUBJECT = "trained on one subject only"


def hold_out(
    records: Sequence[Record], share: float, seed: int, what: str, least: int = 1
) -> tuple[list[Record], list[Record]]:
    """Recordings to go on with, of ``least`` subjects at least, and those that are held out."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.subject or f"sequence {record.id}", []).append(record)
    if len(groups) <= least:
        other = "; or data.test_share=0 test=false" if what == "testing" else ""
        raise ValueError(
            f"the training subset has {counted(len(records), 'recording')}, of "
            f"{counted(len(groups), 'subject')} (one that names none is its own); "
            f"to hold out some for {what}, {least + 1} are wanted, or a '{what}' subset{other}"
        )
    # By a hash, so that a recording that is added later does not shuffle the others.
    names = sorted(groups, key=lambda name: sha256(f"{seed} {name}".encode()).digest())
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
    held = held or [min(names, key=lambda name: len(groups[name]))]
    rest = sorted(set(names) - set(held))
    return [r for name in rest for r in groups[name]], [r for n in held for r in groups[n]]


def held_out_note(records: Sequence[Record], what: str) -> str:
    """Which recordings are held out: by subject, where all of them name theirs."""
    by_subject = dict.fromkeys(record.subject for record in records)
    if by_subject and None not in by_subject:
        kind = "subject" if len(by_subject) == 1 else "subjects"
        return f"held out for {what}: {kind} {_first(by_subject)} ({counted(len(records), 'recording')})"
    return f"held out for {what}: {_first([record.id for record in records])}"


def _first(names: Collection[str | None]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(shown, list(names)[:5])) + more


def nested_share(records: Sequence[Record], share: float, seed: int) -> list[Record]:
    """A share of the recordings, at least one, in their order; a larger share contains a smaller one.

    One with spans is the first that is drawn, since there is nothing to learn without any.
    """
    drawn = sorted(
        records,
        key=lambda record: sha256(f"{seed} {record.id}".encode(errors="replace")).digest(),
    )
    first = next((record for record in drawn if len(record.spans)), drawn[0])
    drawn = [first, *(record for record in drawn if record is not first)]
    taken = {record.id for record in drawn[: max(1, round(share * len(drawn)))]}
    return [record for record in records if record.id in taken]


def training_notes(records: Sequence[Record], count: int) -> list[str]:
    """What a user should know of the recordings that are trained on, of ``count`` that could be."""
    found = [f"trained on {len(records)} of {count} recordings"] if len(records) < count else []
    subjects = {record.subject for record in records}
    if len(subjects) == 1 and None not in subjects:
        found.append(
            f"{ONE_SUBJECT}, {shown(*subjects)}: data.val_share=0, or data.test_share=0 with "
            "test=false, leaves it more of them"
        )
    return found
