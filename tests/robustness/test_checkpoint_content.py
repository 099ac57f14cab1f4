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
from mutated import at_length, harmless, often

import spanloc


@pytest.fixture(scope="module")
def content(trained):
    return torch.load(trained["detection"] / "last.ckpt", weights_only=True)


def test_a_few_bytes_cannot_ask_for_a_lot_of_memory(content, tmp_path):
    path = tmp_path / "odd.ckpt"
    changed = copy.deepcopy(content)
    changed["spanloc"]["config"]["module"]["localizer"]["backbone"]["width"] = 4096
    changed["state_dict"]["fake"] = torch.zeros(1).expand(10**12)
    torch.save(changed, path)
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


def test_a_config_without_end_is_refused_at_once(content, tmp_path):
    wide = [0]
    for _ in range(12):
        wide = [wide] * 10
    deep = []
    for _ in range(3000):
        deep = [deep]
    own = []
    own.append(own)
    for odd in (wide, deep, own):
        changed = copy.deepcopy(content)
        changed["spanloc"]["config"]["data"] = odd
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(50_000)
        torch.save(changed, tmp_path / "odd.ckpt")
        sys.setrecursionlimit(limit)
        with pytest.raises(ValueError, match=r"larger or deeper than that of any|not a checkpoint"):
            spanloc.load(tmp_path / "odd.ckpt")


@pytest.mark.parametrize("window", [0, -3, 2.5, "all"])
def test_a_window_that_is_no_number_of_steps_is_refused(content, tmp_path, window):
    changed = copy.deepcopy(content)
    changed["spanloc"]["window"] = window
    torch.save(changed, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match=r"odd.ckpt: .*window is"):
        spanloc.load(tmp_path / "odd.ckpt")


SIZES = {
    "wide": lambda c: c["module"]["localizer"]["backbone"].update(width=10**9),
    "deep": lambda c: c["module"]["localizer"]["backbone"].update(num_blocks=10**9),
    "many levels": lambda c: c["module"]["localizer"]["neck"].update(num_levels=10**9),
    "many classes": lambda c: c["module"]["localizer"]["head"].update(num_classes=10**12),
    "a large kernel": lambda c: c["module"]["localizer"]["neck"].update(kernel=10**9 + 1),
    "half a channel": lambda c: c["module"]["localizer"]["backbone"].update(num_channels=3.5),
    "not set": lambda c: c["module"]["localizer"]["backbone"].update(width="???"),
    "a number as key": lambda c: c["module"].update({3: 4}),
}


@pytest.mark.parametrize("change", SIZES.values(), ids=SIZES)
def test_sizes_that_the_weights_do_not_have_are_refused_at_once(content, tmp_path, change):
    changed = copy.deepcopy(content)
    change(changed["spanloc"]["config"])
    torch.save(changed, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match=r"^\S*odd.ckpt: ") as error:
        spanloc.load(tmp_path / "odd.ckpt")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("odd", [
    "text", {"_target_": "spanloc.losses.giou_loss", "_partial_": True},
    {"_target_": "spanloc.decode.Nope"}, {"_target_": "os.system", "command": "true"},
    {"_target_": "spanloc.decode.Decode", "suppress": 3},
    {"_target_": "spanloc.decode.Decode", "max_predictions": None},
])  # fmt: skip
def test_a_decode_that_cannot_decode_is_one_line_that_names_the_file(
    cli, content, tmp_path, odd, capsys
):
    changed = copy.deepcopy(content)
    changed["spanloc"]["config"]["module"]["decode"] = odd
    torch.save(changed, tmp_path / "odd.ckpt")
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


def load_mutated(content, folder, seed):
    random, changed = Random(seed), copy.deepcopy(content)
    for _ in range(random.randint(1, 3)):
        ours = changed.get("spanloc")
        mutate(random, ours if isinstance(ours, dict) and random.randrange(2) else changed)
    path = folder / "odd.ckpt"
    torch.save(changed, path)
    loads_or_is_refused(path)


@at_length(15, 3_000)
def test_any_content_loads_or_is_refused_in_words(content, tmp_path, often):
    @often
    @given(st.integers(0, 2**32))
    def run(seed):
        load_mutated(content, tmp_path, seed)

    run()


@often(30)
@given(data=st.data())
def test_any_bytes_load_or_are_refused_in_words(trained, tmp_path, data):
    damaged = bytearray((trained["detection"] / "best.ckpt").read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "odd.ckpt"
    path.write_bytes(damaged)
    loads_or_is_refused(path)
