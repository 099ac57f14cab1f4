"""Columns of tables, by field."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from unicodedata import normalize

from spanloc.data.annotations.rows import MOMENTS
from spanloc.data.quotes import as_written
from spanloc.data.signals.reading import listed

#: In place of the name of a column that the user knows.
NAME = "NAME"
FIELDS = ("sequence", "start", "end", "label", "subset", "subject", "duration")
# What columns are often called, in small letters; only ever suggested.
_OFTEN = {
    "sequence": "file filename file_name recording record id name path datei aufnahme fichier archivo",
    "start": "start onset begin start_time starttime begin_time from tmin beginn anfang début inicio",
    "end": "end offset stop end_time endtime stop_time to tmax ende fin",
    "duration": "duration length dauer durée duración",
    "label": "class event trial_type category type annotation behavior behaviour klasse étiquette etiqueta",
    "subject": "person participant patient animal proband",
    "score": "confidence probability",
}
_GUESSED = {name: field for field, names in _OFTEN.items() for name in names.split()}
# At the end of a name, as in "Start (ms)", "Start [s]" and "start_ms".
_UNIT = re.compile(r"(?:[ _]|\s*[(\[])(m?s|m?sec|seconds|milliseconds)[)\]]?$", re.IGNORECASE)


class Columns:
    """The columns of a table by field, under the names that a setting gives them.

    Args:
        chosen: The names of columns by field, where they are not those of the fields.
        needed: Fields without which the table says nothing; a duration may take the place of an end.
        fields: All that the table may have.
        setting: The setting of ``chosen``, for errors.
        moments: Whether a table may be without ends, unless ``chosen`` names their column. None: moments
            can be of no use, and no error speaks of them.
    """

    def __init__(
        self,
        chosen: Mapping[str, str],
        needed: Sequence[str] = ("sequence", "start", "end"),
        *,
        fields: Sequence[str] = FIELDS,
        setting: str = "data.columns",
        moments: bool | None = None,
    ) -> None:
        if unknown := [name for name in chosen if name not in fields]:
            turned = {str(chosen[name]): name for name in unknown if chosen[name] in fields}
            wanted = (
                f"write {as_written(turned)}" if turned else f"wanted some of {', '.join(fields)}"
            )
            raise ValueError(f"{setting}: no field {min(unknown)!r}; {wanted}")
        if {"end", "duration"} <= {*chosen}:
            raise ValueError(f"{setting}: has both end and duration; wanted one of them")
        self.chosen, self.setting = chosen, setting
        #: What :meth:`unread_labels` found in the table that was read.
        self.unread: list[str] = []
        self.names = {f: normalize("NFC", str(chosen.get(f, f))) for f in fields}
        self._moments = moments
        self._endless = bool(moments) and not {"end", "duration"} & {*chosen}
        self._needed = [field for field in needed if field != "end" or not self._endless]

    def fit(self, found: Sequence[str], where: str) -> list[str]:
        """The names of a table, those of a field spelled as in :attr:`names`."""
        names = respelled(found, self.names.values())
        needed = [
            "duration" if field == "end" and self.by_duration(names) else field
            for field in self._needed
        ]
        absent = [
            field
            for field, name in self.names.items()
            if name not in names and (field in needed or field in self.chosen)
        ]
        if not absent:
            return names
        suggested = self._suggested(absent, found, names)
        remedy = f"set '{self.setting}={as_written(suggested)}'"
        units = [_UNIT.search(suggested.get(field, "")) for field in ("start", "end", "duration")]
        if any(unit and unit[1].lower().startswith("m") for unit in units):
            remedy += f" {self.setting.replace('columns', 'unit')}=milliseconds"
        if NAME in suggested.values():
            several = "s" * ([*suggested.values()].count(NAME) > 1)
            left_out = suggested.get("label") == NAME and "label" not in absent
            more = f'; without labels, leave out "label: {NAME}"' if left_out else ""
            remedy = f"{remedy} ({NAME}: your column{several}{more})"
        if suggested.get("end") == NAME and "end" not in self.chosen and self._moments is not None:
            remedy = f"{remedy}, or duration in place of end; {MOMENTS}"
        missing = no_columns([self.names[field] for field in absent])
        raise ValueError(f"{where}: {missing}; found {listed(found, 40)}; {remedy}")

    def are_spans(self, found: Sequence[str]) -> bool:
        """Whether columns are those of spans of named recordings, by these names or by usual ones."""
        names = respelled(found, self.names.values())
        fields = {*map(_guess, found), *(f for f, name in self.names.items() if name in names)}
        return {"sequence", "start"} <= fields and not fields.isdisjoint({"end", "duration"})

    def unread_ends(self, names: Collection[str]) -> list[str]:
        """The columns that may be ends, of a table that is read as one of moments."""
        if not self._endless or {self.names["end"], self.names["duration"]} & {*names}:
            return []
        return self._left(names, "end", "duration")

    def unread_labels(self, names: Collection[str]) -> list[str]:
        """The columns that may be labels, of a table that has no column for them."""
        if self.names["label"] in names:
            return []
        return self._left(names, None, "label")

    def _left(self, names: Collection[str], *guesses: str | None) -> list[str]:
        own = {*self.names.values()}
        return [name for name in names if name not in own and _guess(name) in guesses]

    def naming(self, field: str, among: Collection[str]) -> str:
        """The setting that names the column of a field, one of these if its name says so."""
        known = {"end": ("end", "duration")}.get(field, (field,))
        found = {guess: name for name in among if (guess := _guess(name)) in known and guess}
        alone = next(iter(among)) if len(among) == 1 else NAME
        chosen = {**self.chosen, **(dict([*found.items()][:1]) or {field: alone})}
        return f"'{self.setting}={as_written({f: chosen[f] for f in self.names if f in chosen})}'"

    def by_duration(self, names: Collection[str]) -> bool:
        """True for a table with these columns that gives durations in place of ends."""
        if "duration" in self.chosen or "end" in self.chosen:
            return "duration" in self.chosen
        return self.names["end"] not in names and self.names["duration"] in names

    def _suggested(
        self, absent: Sequence[str], found: Sequence[str], names: Sequence[str]
    ) -> dict[str, str]:
        # All that is to be set, what is set already included, with names as the file spells them.
        guessed: dict[str, str] = {}
        for old, new in zip(found, names, strict=True):
            field = _guess(old)
            if field not in self.names or new in self.names.values():
                continue
            if self.names[field] not in names:
                guessed.setdefault(field, old)
        if "end" in guessed or "end" not in absent:
            guessed.pop("duration", None)
        kept = {field: name for field, name in self.chosen.items() if field not in absent}
        unknown = dict.fromkeys(absent, NAME)
        if "duration" in guessed:
            unknown.pop("end", None)
        chosen = {**kept, **unknown, **guessed}
        # What is left over may be the labels: without them, all spans would be of one.
        left = [n for n in self.unread_labels(names) if n not in chosen.values()]
        if "label" not in chosen and len(left) > [*chosen.values()].count(NAME):
            chosen["label"] = NAME
        return {field: chosen[field] for field in self.names if field in chosen}


def _guess(name: str) -> str | None:
    plain = _UNIT.sub("", name)
    field = _GUESSED.get(plain.casefold().replace(" ", "_"))
    return field if plain == name or field in ("start", "end", "duration") else None


def respelled(found: Sequence[str], wanted: Collection[str]) -> list[str]:
    """Names of columns in NFC; one that differs from a wanted name by capital letters alone becomes that.

    Not where the wanted name is there as well, or several are alike.

    >>> respelled(["Start", "END", "end", "x"], ["start", "end"])
    ['start', 'END', 'end', 'x']
    """
    found = [normalize("NFC", name) for name in found]
    small = [name.casefold() for name in found]
    count = Counter(small)
    spelled = {name.casefold(): name for name in wanted if name not in found}
    return [
        spelled.get(low, name) if count[low] == 1 else name
        for name, low in zip(found, small, strict=True)
    ]


def no_columns(missing: Sequence[str]) -> str:
    """The message that columns are missing.

    >>> no_columns(["start"]), no_columns(["start", "end"])
    ("there is no column 'start'", "there are no columns 'start' and 'end'")
    """
    *most, last = map(repr, missing)
    if not most:
        return f"there is no column {last}"
    return f"there are no columns {', '.join(most)} and {last}"
