"""Checkpoints whose content is made up: what is loaded, and what is refused."""

import copy
import math
import re
import sys
import zipfile
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mutated import at_length, harmless

import spanloc


@pytest.fixture(scope="module")
def content(trained):
    return torch.load(trained["detection"] / "last.ckpt", weights_only=True)


@pytest.fixture
def odd(content, tmp_path):
    """Saves the checkpoint with a change of it."""

    def save(change):
        changed = copy.deepcopy(content)
        change(changed)
        torch.save(changed, tmp_path / "odd.ckpt")
        return tmp_path / "odd.ckpt"

    return save


def test_a_few_bytes_cannot_ask_for_a_lot_of_memory(odd):
    def ask(changed):
        changed["spanloc"]["config"]["module"]["localizer"]["backbone"]["width"] = 4096
        changed["state_dict"]["fake"] = torch.zeros(1).expand(10**12)

    path = odd(ask)
    with pytest.raises(ValueError, match="more weights than the file holds"):
        spanloc.load(path)
    with zipfile.ZipFile(path, "w") as file:
        for name, part in (
            ("odd/data.pkl", b"\x80\x02c__builtin__\nbytearray\nJ\x00\x00\x00\x7f\x85R."),
            ("odd/version", b"3\n"),
        ):
            file.writestr(name, part)
    with pytest.raises(ValueError, match="not a checkpoint, or a damaged one"):
        spanloc.load(path)


def test_a_config_without_end_is_refused_at_once(odd):
    wide = [0]
    for _ in range(12):
        wide = [wide] * 10
    deep = []
    for _ in range(3000):
        deep = [deep]
    own = []
    own.append(own)
    for endless in (wide, deep, own):
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(50_000)
        path = odd(lambda c, data=endless: c["spanloc"]["config"].update(data=data))
        sys.setrecursionlimit(limit)
        with pytest.raises(ValueError, match=r"larger or deeper than that of any|not a checkpoint"):
            spanloc.load(path)


IMPOSSIBLE = {
    "wide": lambda c: c["config"]["module"]["localizer"]["backbone"].update(width=10**9),
    "deep": lambda c: c["config"]["module"]["localizer"]["backbone"].update(num_blocks=10**9),
    "many levels": lambda c: c["config"]["module"]["localizer"]["neck"].update(num_levels=10**9),
    "many classes": lambda c: c["config"]["module"]["localizer"]["head"].update(num_classes=10**12),
    "a large kernel": lambda c: c["config"]["module"]["localizer"]["neck"].update(kernel=10**9 + 1),
    "half a channel": lambda c: c["config"]["module"]["localizer"]["backbone"].update(num_channels=3.5),
    "not set": lambda c: c["config"]["module"]["localizer"]["backbone"].update(width="???"),
    "a number as key": lambda c: c["config"]["module"].update({3: 4}),
    "an interpolation": lambda c: c["config"]["module"]["classes"].append("${oc.env:HOME}"),
    **{f"window {size}": lambda c, size=size: c.update(window=size) for size in (0, -3, 2.5, "all")},
    **{f"longest {size}": lambda c, size=size: c["facts"].update(longest=size)
       for size in (math.inf, math.nan, 1e300, -1.0, "long")},
}  # fmt: skip


@pytest.mark.parametrize("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_values_that_no_model_has_are_refused_at_once(odd, change):
    path = odd(lambda content: change(content["spanloc"]))
    with pytest.raises(ValueError, match=r"^\S*odd.ckpt: ") as error:
        spanloc.load(path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("decode", [
    "text", {"_target_": "spanloc.losses.giou_loss", "_partial_": True},
    {"_target_": "spanloc.decode.Nope"}, {"_target_": "os.system", "command": "true"},
    {"_target_": "spanloc.decode.Decode", "suppress": 3},
    {"_target_": "spanloc.decode.Decode", "max_predictions": None},
])  # fmt: skip
def test_a_decode_that_cannot_decode_is_one_line_that_names_the_file(
    cli, odd, tmp_path, decode, capsys
):
    odd(lambda content: content["spanloc"]["config"]["module"].update(decode=decode))
    np.save(tmp_path / "r.npy", np.zeros((40, 2)))
    line = cli("predict", "checkpoint=odd.ckpt", "input=r.npy", folder=tmp_path)
    assert re.match(
        r"spanloc-predict: error: odd.ckpt: (its model cannot be built: |its )?decode[ .]?",
        str(line),
    ), line
    assert "Traceback" not in "".join(capsys.readouterr())


ODD = [
    None, True, 0, 1, -1, 3.5, 10**6, 10**20, -(10**20), 1e308, math.nan, math.inf, "", "???", "abc",
    "${a}", [], [1], {}, {"a": None}, torch.zeros(2), {"_target_": "os.system", "command": "true"},
]  # fmt: skip


def mutate(random, node):
    """Replaces, removes or adds something at a random place."""
    while node:
        key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        child = node[key]
        if isinstance(child, dict | list) and child and random.randrange(5):
            node = child
            continue
        what = random.choice(["replace", "remove", "add"]) if isinstance(node, dict) else "replace"
        if what == "remove":
            del node[key]
        else:
            node["x" if what == "add" else key] = copy.deepcopy(random.choice(ODD))
        return


def loads_or_is_refused(path):
    with harmless(path.parent, path.name):
        assert not spanloc.load(path).training


@at_length(8, 3_000)
def test_any_content_loads_or_is_refused_in_words(odd, often):
    @often
    @given(st.integers(0, 2**32))
    def run(seed):
        random = Random(seed)

        def change(content):
            for _ in range(random.randint(1, 3)):
                ours = content.get("spanloc")
                mutate(random, ours if isinstance(ours, dict) and random.randrange(2) else content)

        loads_or_is_refused(odd(change))

    run()
