"""Names and mappings on the command line, with and without quotes."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from spanloc.cli.frame.arguments import with_quotes
from spanloc.data.quotes import as_mapping, as_written, quoted

NAMES = (
    "walk",
    "Größe",
    "été, long",
    "走る",
    "a (b)",
    "a: b",
    "it's",
    'say "x"',
    "5",
    "true",
    "[x]",
    "{x}",
    "#1",
)


def test_any_name_is_read_as_the_command_line_writes_it():
    def value(text):
        (setting,) = OverridesParser.create().parse_overrides([f"x={text}"])
        return setting.value()

    for name in NAMES:
        written = as_mapping(value(as_written({name: "b"})), "label_map")
        assert {str(key): label for key, label in written.items()} == {name: "b"}
        assert as_mapping(value(as_written({"b": name})), "label_map") == {"b": name}
        assert value(f"[{quoted(name)}, b]") == [name, "b"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"a\ü", r"a\ü"),
        ("[l'été,l'hiver,forêt]", ["l'été", "l'hiver", "forêt"]),
        ('{start: "Début, s", label: é}', {"start": "Début, s", "label": "é"}),
        ('["ö, b", é]', ["ö, b", "é"]),
        ("'é,b'", "é,b"),
    ],
)
def test_quotes_change_no_value(text, value):
    (setting,) = OverridesParser.create().parse_overrides(with_quotes([f"x={text}"]))
    assert setting.value() == value


def test_what_is_nested_or_of_a_sweep_stays_as_it_is():
    same = [
        "x={ö: a},{ö: b}",
        "x=[ä],null",
        "x=[[ö],[b]]",
        "x={a: [ö, b]}",
        r"x=ö\,b",
        "x=choice(ö,b)",
    ]
    assert with_quotes(same) == same
