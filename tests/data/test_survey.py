"""The survey of annotated recordings: every finding with its near miss."""

import numpy as np
import pytest
from surveyed import Folder, noise

from spanloc.data.survey.result import SEVERITIES


def spans_of(*ends, label="a"):
    return [{"segment": list(pair), "label": label} for pair in ends]


def every(folder, change):
    for name in folder.arrays:
        change(name)


def set_value(value, row=7, column=1):
    def change(folder):
        folder.arrays["t"][row, column] = value

    return change


def set_field(field, **names):
    return lambda folder: [folder.database[n].update({field: value}) for n, value in names.items()]


def no_subjects(folder):
    every(folder, lambda name: folder.database[name].pop("subject"))


def copied(source, target, change=0.0):
    def copy(folder):
        folder.arrays[target] = folder.arrays[source].copy()
        folder.arrays[target][-1, -1] += change

    return copy


def scaled(factor):
    def scale(folder):
        same = folder.arrays["s"][:, 0]
        every(folder, lambda name: folder.arrays[name].__setitem__((slice(None), 0), same))
        folder.arrays["u"][:, 0] *= factor

    return scale


def added(*spans, name="s"):
    return lambda folder: [folder.add(name, *span) for span in spans]


def replaced(name, spans):
    return lambda folder: folder.database[name].update(annotations=spans)


def all_replaced(spans):
    return lambda folder: every(folder, lambda name: replaced(name, spans)(folder))


def with_c(**counts):
    """So many spans of a further label, in the gaps between the others."""

    def change(folder):
        folder.classes = ["a", "b", "c"]
        for name, count in counts.items():
            added(*[(i + 0.65, i + 0.95, "c") for i in range(count)], name=name)(folder)

    return change


def imbalanced(count):
    """So many spans of ``a`` for one of ``b``, in a recording of its own length."""

    def change(folder):
        all_replaced([])(folder)
        folder.arrays["s"] = noise(10 * count + 20)
        folder.database["s"]["annotations"] = [
            *spans_of(*[(i, i + 0.5) for i in range(count)]),
            *spans_of((count, count + 0.5), label="b"),
        ]

    return change


def classes(*names):
    return lambda folder: setattr(folder, "classes", list(names))


def in_a_row(gap, digits=9):
    ends = [(round(i + gap, digits), round(i + 1, digits)) for i in range(10)]
    return all_replaced(spans_of(*ends))


def eighths(gap):
    def change(folder):
        every(folder, lambda name: folder.database[name].update(fps=8))
        in_a_row(gap / 8)(folder)

    return change


def rate(fps, name="u"):
    def change(folder):
        folder.database[name]["fps"] = fps
        replaced(name, spans_of((1, 3), label="a") + spans_of((4, 6), label="b"))(folder)

    return change


def looked_at(*stretches):
    return lambda folder: folder.database["s"].update(annotated=[*map(list, stretches)])


def sparse(seconds):
    """Ten seconds of spans in so many seconds of training, and little of it in the other subsets."""

    def change(folder):
        all_replaced(spans_of((1, 6)))(folder)
        folder.arrays.update(s=noise(10 * seconds - 120))

    return change


def constant(rows):
    return lambda folder: folder.arrays["u"].__setitem__((slice(rows), 1), 2.5)


def flagged(late):
    """Column 1 is 1 in the only span of a recording, and 0 elsewhere; in two of four, all so many steps late."""

    def change(folder):
        all_replaced(spans_of((2, 5)))(folder)
        for name, array in folder.arrays.items():
            array[:, 1] = 0
            shift = late * (name in "tu")
            array[20 + shift : 50 + shift, 1] = 1

    return change


def coded(number, others=0):
    """So many steps that hold -9999, and as many others of ever other values far out."""

    def change(folder):
        folder.arrays["t"] = noise(4000)
        folder.arrays["t"][:number, 1] = -9999
        folder.arrays["t"][number : number + others, 1] = 1000 + np.arange(others)

    return change


# kind: (what has it, what nearly has it, severity, cases, part of the place).
CASES = {
    "missing": (set_value(np.nan), set_value(1e30), "error", 1, "t.npy, t, row 7: column 1 is nan"),
    "no values": (
        lambda f: f.arrays["t"][:, 1].fill(np.nan),
        lambda f: f.arrays["t"][1:, 1].fill(np.nan), "error", 1, "t.npy, t: column 1",
    ),
    "telling": (flagged(0), flagged(3), "warning", 1, "s.npy, s: column 1"),
    "not finite": (set_value(np.inf), set_value(np.nan), "error", 1, "t.npy, t, row 7: column 1 is inf"),
    "not finite, as float32": (
        lambda f: f.arrays.update(t=np.where(f.arrays["t"] > 9, 0, 1e39)),
        set_value(3e38), "error", 1, "t.npy, t, row 0: column 0 is inf; 240 such values in total",
    ),
    "no training": (set_field("subset", s="testing", t="testing"), set_field("subset", s="testing"), "error", 0, ""),
    "no training spans": (
        lambda f: (replaced("s", [])(f), replaced("t", [])(f)), replaced("s", []), "error", 0, "",
    ),
    "copy in another subset": (
        copied("s", "v"), copied("s", "v", 1e-3), "error", 1, "'s' (training) and 'v' (testing)",
    ),
    "copy": (copied("s", "t"), copied("s", "t", 1e-3), "warning", 1, "'s' (training) and 't'"),
    "subject in two subsets": (
        set_field("subject", v="of s"), set_field("subject", t="of s"), "warning", 1,
        "'of s' in testing and training",
    ),
    "no subjects": (
        lambda f: (no_subjects(f), set_field("subset", u="testing")(f)), no_subjects, "note", 4, "",
    ),
    "label not in training": (with_c(v=1), with_c(v=1, s=1), "error", 1, "'c'"),
    "few spans": (with_c(s=4, u=9, v=9), with_c(s=4, t=1), "warning", 1, "'c': 4 spans"),
    "rare label": (with_c(s=5, t=4, u=9, v=9), with_c(s=5, t=5), "note", 1, "'c': 9 spans"),
    "rare label, with few": (with_c(s=5), with_c(s=4), "note", 1, "'c': 5 spans"),
    "no background": (
        all_replaced(spans_of((0, 11.9))), all_replaced(spans_of((0, 11.8))), "note", 1, "",
    ),
    "rare spans": (sparse(2010), sparse(1990), "note", 1, ""),
    "label not in testing": (with_c(s=9, u=1), with_c(s=9, v=1), "note", 1, "'c'"),
    "label not in validation": (with_c(s=9, v=1), with_c(s=9, u=1), "note", 1, "'c'"),
    "label without spans": (classes("a", "b", "c", "d"), classes("b", "a"), "warning", 2, "'c'"),
    "imbalance": (imbalanced(101), imbalanced(100), "warning", 1, "'a' 101, 'b' 1"),
    "span: reversed": (added((3, 2)), added((2.65, 3)), "error", 1, "segment is [3, 2]"),
    "span: empty": (added((3, 3)), added((2.65, 3)), "error", 1, "segment is [3, 3]"),
    "span: past the end": (
        added((11.7, 13)), added((11.7, 12.05)), "error", 1, "segment is [11.7, 13]",
    ),
    "span: before the start": (
        added((-1, 0.1)), added((-0.05, 0.1)), "error", 1, "segment is [-1, 0.1]",
    ),
    "span: label": (added((2.65, 3, "A")), added((2.65, 3, "a")), "error", 1, "label is 'A'"),
    "span: duplicate": (added((0.1, 0.6)), added((0.1, 0.6, "b")), "warning", 1, "[0.1, 0.6]"),
    "overlap: same label": (
        added((0.3, 0.9)), added((0.6, 0.9)), "warning", 1,
        "annotations.json, s, annotations[0]: 'a' from 0.1 to 0.6 s and 'a' from 0.3 to 0.9 s",
    ),
    "overlap: different labels": (
        added((0.3, 1.3)), added((0.6, 1.1)), "note", 1,
        "s, annotations[12]: 'a' from 0.3 to 1.3 s and 'b' from 1.1 to 1.6 s",
    ),
    "short spans": (
        added((0.7, 0.85)), added((0.7, 0.9)), "warning", 1, "s, annotations[12]: 'a' from 0.7 to 0.85 s",
    ),
    "split": (
        added((0.7, 1)), added((0.8, 1)), "warning", 1, "'a' from 0.1 to 0.6 s and 'a' from 0.7 to 1 s",
    ),
    "outside of annotated": (
        looked_at((0, 11.4)), looked_at((0, 11.55)), "warning", 1,
        "annotations.json, s, annotations[11]: 'b' from 11.1 to 11.6 s, 0.2 s of it outside",
    ),
    "outside of annotated, wholly": (
        lambda f: (added((11.65, 11.7))(f), looked_at((0, 11.6))(f)),
        lambda f: (added((11.65, 11.7))(f), looked_at((0, 11.6), (11.6, 12))(f)),
        "warning", 1, "annotations[12]: 'a' from 11.65 to 11.7 s, 0.05 s",
    ),
    "inclusive ends": (
        in_a_row(0.1), in_a_row(0.0), "warning", 36,
        "s, annotations[0]: 'a' from 0.1 to 1 s and 'a' from 1.1 to 2 s",
    ),
    "inclusive ends, not all apart": (
        lambda f: (in_a_row(0.1)(f), replaced("v", spans_of(*[(i, i + 1) for i in range(3)]))(f)),
        lambda f: (in_a_row(0.1)(f), replaced("v", spans_of(*[(i, i + 1) for i in range(5)]))(f)),
        "warning", 27, "",
    ),
    "inclusive ends, in steps of 1/8 s": (
        eighths(1), eighths(2), "warning", 36, "'a' from 0.125 to 1 s and 'a' from 1.125 to 2 s",
    ),
    "no spans": (replaced("u", []), replaced("u", spans_of((1, 2))), "note", 1, "u"),
    "different rates": (rate(20), rate(10), "note", 1, "u.npy, u: 20 steps per second; s has 10"),
    "different channels": (
        lambda f: f.arrays.update(u=f.arrays["u"][:, :1]), lambda f: None, "warning", 1,
        "u: 1 channel without names; s has 2 channels without names",
    ),
    "code": (
        coded(10), coded(9), "warning", 1,
        "t.npy, t: the value -9999 in 1 recording, 0.23 % of the steps of column 1",
    ),
    "code, among others": (coded(10, 30), coded(10, 31), "warning", 1, "the value -9999"),
    "constant channel": (constant(120), constant(119), "warning", 1, "u: column 1 is 2.5"),
    "scale": (scaled(1001), scaled(999), "warning", 1, "u: column 0 has the standard deviation"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_finding_is_there_where_it_is_and_only_there(tmp_path, case):
    has, nearly, severity, count, place = CASES[case]
    kind = case.split(",")[0]
    for name, change in (("has", has), ("nearly", nearly)):
        folder = Folder()
        change(folder)
        (tmp_path / name).mkdir()
        found = {one.kind: one for one in folder.survey(tmp_path / name).findings}
        if name == "nearly":
            assert kind not in found
            continue
        assert (found[kind].severity, found[kind].count) == (severity, count)
        assert place in (found[kind].cases[0].line if found[kind].cases else "")
        assert len(found[kind].cases) in (0, count)
        assert found[kind].advice.endswith(".")
        assert not found[kind].text.endswith(".")


def test_all_is_found_in_one_run_the_gravest_first(tmp_path):
    folder = Folder()
    for case in ("copy", "not finite", "span: reversed", "short spans", "no spans"):
        CASES[case][0](folder)
    found = folder.survey(tmp_path).findings
    kinds = {one.kind for one in found}
    assert kinds >= {"not finite", "span: reversed", "short spans", "no spans"}
    order = [SEVERITIES.index(one.severity) for one in found]
    assert order == sorted(order)
