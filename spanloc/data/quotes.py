"""Names and mappings as the command line takes them: what Hydra reads without quotes, and what not."""

import json
import os
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

# What Hydra reads as a text without quotes: as the key of a mapping, and elsewhere.
_NO_TEXTS = r"(?!(?i:true|false|null|nan|inf)\Z)"
_KEY = re.compile(rf"{_NO_TEXTS}[A-Za-z_][\w$%*@?|/+.-]*(?: [\w$%*@?|/+.-]+)*", re.ASCII)
_NAME = re.compile(rf"{_NO_TEXTS}[A-Za-z_][\w.-]*", re.ASCII)
#: A name in quotes.
QUOTED = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"


def renaming(labels: Mapping[str, str]) -> str:
    """The setting that gives labels other names.

    >>> print(renaming({"jog": "run"}), renaming({"jog (slow)": "run"}))
    'data.label_map={jog: run}' 'data.label_map="{jog (slow): run}"'
    """
    return shlex.quote(f"data.label_map={as_written(labels)}")


def as_written(mapping: Mapping[str, str]) -> str:
    """A mapping on the command line, within single quotes of the shell.

    >>> as_written({"start": "Begin Time (s)"}), as_written({"Größe": "size"})
    ('{start: "Begin Time (s)"}', '"{Größe: size}"')
    """
    if all(map(_KEY.fullmatch, mapping)):
        return f"{{{', '.join(f'{key}: {quoted(name)}' for key, name in mapping.items())}}}"
    # Hydra reads no other keys, not in quotes either: a text, which as_mapping reads.
    names = [[_in_yaml(text) for text in pair] for pair in mapping.items()]
    return text_of("{" + ", ".join(f"{old}: {new}" for old, new in names) + "}")


def as_mapping(value: object, setting: str) -> Mapping[Any, Any] | None:
    """The mapping that a setting is, also where it is written as a text.

    >>> as_mapping("{a (b): c}", "label_map")
    {'a (b)': 'c'}
    """
    if isinstance(value, str) and setting != "feature_options":
        # All values are texts, as those of tables and labels are.
        with suppress(yaml.YAMLError):
            value = yaml.load(value, Loader=yaml.BaseLoader)
    if value is None or isinstance(value, Mapping):
        return value
    wanted = f"wanted {{name: value}}, in quotes: 'data.{setting}={{...}}'"
    raise ValueError(f"data.{setting} is {value!r}; {wanted}")


def quoted(name: str) -> str:
    """A name as a value of a mapping on the command line, within single quotes of the shell.

    >>> quoted("onset"), quoted("Begin Time (s)"), quoted("true")
    ('onset', '"Begin Time (s)"', '"true"')
    """
    return name if _NAME.fullmatch(name) else text_of(name)


def _in_yaml(name: str) -> str:
    return name if re.fullmatch(r"\w[\w ()./+-]*", name) else json.dumps(name, ensure_ascii=False)


def text_of(text: str) -> str:
    """A text in quotes, on the command line, where a backslash is one, except before a quotation mark."""
    doubled = re.sub(r'(\\+)(?="|\Z)', r"\1\1", text)
    return '"' + doubled.replace('"', '\\"') + '"'


def in_quotes(value: str) -> str:
    """The value of a setting, with quotes around each name that needs them; as it is where it is nested.

    >>> in_quotes("{time: Elapsed [s], label: Event}"), in_quotes("[a=1,b]"), in_quotes("x=y")
    ('{time: "Elapsed [s]", label: Event}', '["a=1", b]', '"x=y"')
    >>> print(in_quotes("{Größe: size}"), in_quotes("[l'été,forêt]"), in_quotes("[ä],[b]"))
    "{Größe: size}" ["l'été", "forêt"] [ä],[b]
    """
    inside = re.fullmatch(r"([{[])(.*)[]}]", value, re.S)
    if os.path.exists(value):
        return _in_quotes(value)
    # A list in a list, several values of a sweep, an escaped comma.
    if re.search(r"[\]}]\s*,\s*[\[{]|[\[{,:]\s*[\[{]|\\,", value) or (
        value[:1] in "[{" and not inside
    ):
        return value
    if not inside:
        return ",".join(map(_in_quotes, _split(value, ",")))
    parts = _split(inside[2], ",")
    if inside[1] == "[":
        return f"[{', '.join(map(_in_quotes, parts))}]"
    names = {_bare(key): ":".join(rest) for key, *rest in (_split(part, ":") for part in parts)}
    if all(map(_KEY.fullmatch, names)):
        return f"{{{', '.join(f'{key}: {_in_quotes(name)}' for key, name in names.items())}}}"
    return as_written({key: _bare(name) for key, name in names.items()})


def _split(text: str, mark: str) -> list[str]:
    # Quotes count where a part, or what stands behind its colon, is wholly in them.
    key = r"(?:[^,:]*:\s*)?" if mark == "," else ""
    part = rf"{key}(?:{QUOTED})(?=\s*(?:{mark}|\Z))|[^{mark}]*"
    return [found[1] for found in re.finditer(rf"\s*({part})\s*(?:{mark}|\Z)", text) if found[0]]


def _in_quotes(name: str) -> str:
    name = name.strip()
    known = re.fullmatch(QUOTED, name) or re.fullmatch(r"[\w$%*@?|/+. -]+", name, re.ASCII)
    return name if known else text_of(name)


def _bare(name: str) -> str:
    name = name.strip()
    return re.sub(r"\\([\"'])", r"\1", name[1:-1]) if re.fullmatch(QUOTED, name) else name
