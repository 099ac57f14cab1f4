"""Files with mistakes in them, drawn by Hypothesis, and what a reader may do about these."""

import copy
import json
import resource
import time
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

# What json.dumps would not write, put in for a text of this name.
RAW = {
    "@digits": "1" * 5000,
    "@400": "-1" + "0" * 400,
    "@deep": "[" * 100_000 + "]" * 100_000,
    "@nested": '{"a":' * 200 + "1" + "}" * 200,
    "@1e400": "1e400",
}
NUMBERS = [
    *(0, 1, -1, 0.1, -0.5, 3, 1e-9, 5e-324, 1e-308, 1e300, 1e308, -1e308, 2**31, 2**63, 10**15),
    *(float("nan"), float("inf"), -float("inf")),
]
TEXTS = [
    *("", " ", "a", "nan", "1e400", "1_000", "\uff11\uff12", "\ud800", "\0", "a\nb", "\x1b[31m", "[/red]x"),
    *("a/../b", "/etc/passwd", "../outside", "x" * 300, "é" * 5000, "<script>", "=1+1", "$\\x$"),
]  # fmt: skip
OTHERS = [None, True, False, [], {}, [[]], {"a": None}, [1, 2, 3], list(range(3000))]
ODD = [*NUMBERS, *TEXTS, *OTHERS, *RAW]


def often(max_examples):
    """The same examples every time, none of them shrunk: with files that takes minutes."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    checks.append(
        HealthCheck.function_scoped_fixture
    )  # a folder: each example writes its file anew
    return settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=checks,
    )


def at_length(few, many):
    """Runs a test with few examples, and as a slow one with many; it takes ``often``, a decorator for that."""
    slow = pytest.param(often(many), marks=pytest.mark.slow)
    return pytest.mark.parametrize("often", [often(few), slow], ids=[str(few), str(many)])


@st.composite
def trees(draw, content, most=2):
    """Plain values with one to ``most`` changes at any depth."""
    tree = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, most))):
        tree = _changed(draw, tree)
    return tree


def _changed(draw, node):
    if not isinstance(node, dict | list) or not node or not draw(st.integers(0, 9)):
        return copy.deepcopy(draw(st.sampled_from(ODD)))
    keys = list(node) if isinstance(node, dict) else range(len(node))
    key = draw(st.sampled_from(keys))
    action = draw(st.sampled_from(["inside"] * 8 + ["remove", "rename", "repeat"]))
    if action == "remove":
        del node[key]
    elif action == "inside":
        node[key] = _changed(draw, node[key])
    elif isinstance(node, list):
        node.insert(key, copy.deepcopy(node[key]))
    else:
        node[str(draw(st.sampled_from([*TEXTS, key])))] = (
            node.pop(key) if action == "rename" else copy.deepcopy(node[key])
        )
    return node


@st.composite
def json_files(draw, content):
    """The bytes of a JSON file."""
    text = json.dumps(draw(trees(content)))
    if draw(st.integers(0, 9)) == 0:  # a name twice
        text = text.replace("{", '{"subset": 1, "subset": 2, ', 1)
    return draw(files(text))


@st.composite
def csv_files(draw, rows):
    """The bytes of a CSV file with these cells."""
    rows = copy.deepcopy(rows)
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.sampled_from(rows))
        if not row:
            continue
        i = draw(st.integers(0, len(row) - 1))
        action = draw(st.sampled_from(["set"] * 5 + ["remove", "repeat", "clear", "many"]))
        if action == "set":
            row[i] = draw(
                st.sampled_from([*map(str, NUMBERS), *TEXTS, "1e400", '"', "é" * 200_000])
            )
        elif action == "remove":
            del row[i]
        elif action == "repeat":
            row.insert(i, row[i])
        elif action == "clear":
            row.clear()
        else:
            row += [""] * 300_000
    end = draw(st.sampled_from(["\n"] * 5 + ["\r\n", "\r", "\n\n", ",\n", '\n"']))
    comma = draw(st.sampled_from([","] * 8 + [";", "\t"]))
    return draw(files(end.join(comma.join(row) for row in rows) + end))


@st.composite
def files(draw, text):
    """The bytes of a text: in some encoding, and perhaps cut or broken; what ``RAW`` names is put in."""
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw).replace(f"'{name}'", raw)
    encoding = draw(
        st.sampled_from(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
    )
    content = text.encode(encoding, "replace")
    return draw(broken(content)) if draw(st.integers(0, 3)) == 0 else content


@st.composite
def broken(draw, content, last=None):
    """Bytes that are cut, or of which some up to ``last`` are others."""
    place = draw(st.integers(0, min(len(content), last or len(content))))
    if draw(st.booleans()):
        return content[:place]
    return (
        content[:place] + draw(st.binary(max_size=4)) + content[place + draw(st.integers(0, 4)) :]
    )


def snapshot(folder):
    """Names, sizes and times of all that is in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        found[str(path)] = (state.st_mode, state.st_size, state.st_mtime_ns)
    return found


def _peak():
    # Linux counts in kilobytes.
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def harmless(folder, *names):
    """The block works, or is refused in one line that has one of the names.

    It touches nothing, ends within ten seconds, and takes no more than two gigabytes.
    """
    before, begin, peak = snapshot(folder), time.monotonic(), _peak()
    try:
        yield
    except (ValueError, OSError) as error:
        text = str(error)
        assert text.isprintable(), text
        assert len(text) < 2000, text
        assert any(name in text for name in names), text
    assert time.monotonic() - begin < 10
    assert _peak() - peak < 2e9
    assert snapshot(folder) == before
