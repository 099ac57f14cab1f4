"""What a report shows: tables, Markdown, the page, its figures, and the command."""

import math
import re
from html.parser import HTMLParser

import pytest
from made_runs import LOG, NOW, config, finished, found, log, logged, shown, write_run
from metric_rows import tensors

from spanloc import reports
from spanloc.metrics import diagnose


@pytest.fixture
def sweep(tmp_path):
    """Two losses, three seeds, and a run in each other state."""
    for i, loss in enumerate(("giou", "smooth_giou")):
        for seed, tiou in enumerate((0.90, 0.92, 0.97)):
            name = f"losses__{loss}__relative_gradient"
            figures = {f"{name}__mean": 1.4 if i == 0 else 0.1, "tiou": tiou, "step": seed}
            figures["exponent__slope"] = 0.5 * i + 0.01 * seed
            figures["exponent__low"], figures["exponent__high"] = -0.1, 0.6 + seed
            folder = tmp_path / "runs" / f"{loss}_{seed}"
            finished(folder, loss, seed, metrics={"test/tiou": tiou + 0.01 * i}, figures=figures)
    files = {"config.yaml": config(seed=9), "overrides.yaml": ["seed=9"], LOG: log(70)}
    write_run(tmp_path / "runs" / "going", files, age=120)
    write_run(tmp_path / "runs" / "failed", {**files, "error.txt": "ValueError: nan at step 7"})
    return tmp_path / "runs"


def tables(folder):
    runs, groups = found(folder)
    return [
        reports.group_table(groups).cells,
        reports.comparison_table(groups).cells,
        reports.run_table(runs, groups, now=NOW).cells,
        reports.gradient_table(groups).cells,
    ]


def scored(folder, gain):
    """Writes a ``scores.json`` with so much to gain from localisation, and three of four targets found."""
    diagnosis = diagnose(*tensors([], []), ["a"])
    diagnosis |= {"mAP": 0.5, "num_targets": 40}
    diagnosis["gain"]["localisation"], diagnosis["targets"]["found"] = gain, 30
    reports.ScoreResult({}, diagnosis, 4).write(folder / "scores.json")


def test_the_table_of_errors(sweep):
    assert "No run has a diagnosis." in shown(sweep, reports.page)
    for seed, gain in enumerate((0.01, 0.02, 0.06)):
        scored(sweep / f"giou_{seed}", gain)
    (row,) = reports.error_table(found(sweep)[1]).cells
    assert row["group"].text == "span_loss=giou"
    assert row["mAP@0.50"].text == "0.5 ± 0"
    assert row["targets found"].text == "0.75 ± 0"
    # 1, 2, 6 hundredths: mean 3, deviations -2, -1, 3; std sqrt(14 / 2).
    assert row["gain: wrong place"].text == "0.030 ± 0.026"
    assert row["gain: missed"].text == "0 ± 0"
    assert "0.030 ± 0.026" in shown(sweep, reports.markdown)
    # Errors are of the runs that have a diagnosis.
    (sweep / "giou_2" / "scores.json").write_text('{"diagnosis": {"mAP": 0.1}}')
    (row,) = reports.error_table(found(sweep)[1]).cells
    assert row["mAP@0.50"].text == "0.5 ± 0 (2 of 3 runs)"
    remarks = {row["run"].text: row["remarks"].text for row in tables(sweep)[2]}
    assert remarks["giou_2"] == "scores.json cannot be used: metrics is missing"


def test_runs_that_were_tested_on_other_recordings_are_named(sweep):
    for place in ("giou_0", "smooth_giou_0", "giou_1"):
        scored(sweep / place, 0.01)
    told = "were tested on the same recordings"
    assert told not in shown(sweep, reports.page)
    other = reports.ScoreResult.read(sweep / "giou_1" / "scores.json")
    other.diagnosis["num_targets"] = 41
    other.write(sweep / "giou_1" / "scores.json")
    assert told not in shown(sweep, reports.page)  # of another seed
    other.write(sweep / "smooth_giou_0" / "scores.json")
    assert "(40 targets in 4 recordings, 41 targets in 4 recordings)" in shown(sweep, reports.page)
    assert told in shown(sweep, reports.markdown)
    assert tables(sweep)[1] == []
    assert "test/tiou of every finished run" not in shown(sweep, reports.page)


def test_the_table_of_groups(sweep):
    giou = tables(sweep)[0][0]
    assert list(giou) == ["group", "finished", "test/tiou", "training (s)"]
    assert giou["group"].text == "span_loss=giou"
    assert giou["finished"].text == "3 of 5"
    # 0.90, 0.92, 0.97: mean 0.93, deviations -0.03, -0.01, 0.04; std sqrt(0.0026 / 2) = 0.03606.
    assert giou["test/tiou"].text == "0.930 ± 0.036"
    assert giou["training (s)"].text == "50 ± 0"


def test_gradients_have_a_table_of_their_own_below_the_metric(sweep):
    text = shown(sweep, reports.page)
    assert text.index("test/tiou") < text.index("<h2>Errors") < text.index("relative gradient")
    giou, smooth = tables(sweep)[3]
    assert giou["1 − tIoU, training"].text == "0.070 ± 0.036"
    assert giou["relative gradient"].text == "1.4 ± 0"
    assert smooth["relative gradient"].value == pytest.approx(0.1)
    assert giou["exponent"].text == "0.01 [-0.10, 2.60]"
    assert smooth["exponent"].value == pytest.approx(0.51)
    assert giou["boundary error, median"].value == pytest.approx(0.02)


def test_an_exponent_that_is_not_determinable_is_not_averaged(sweep):
    finished(sweep / "giou_0", figures={"exponent__reason": "too few steps"})
    exponent = tables(sweep)[3][0]["exponent"]
    assert exponent.text == "0.01 [-0.10, 2.60] (2 of 3 runs)"
    assert exponent.value == pytest.approx(0.015)
    for seed in (1, 2):
        bad = {"exponent__reason": "no", "exponent__slope": None}
        finished(sweep / f"giou_{seed}", seed=seed, figures=bad)
    assert tables(sweep)[3][0]["exponent"].text == "n.d."


def test_the_comparison(sweep):
    (row,) = tables(sweep)[1]
    assert (row["first"].text, row["second"].text) == ("span_loss=giou", "span_loss=smooth_giou")
    assert row["n"].text == "3"
    assert row["test/tiou, first minus second"].value == pytest.approx(-0.01)
    assert row["result for boundary error, median"].text == "no difference shown"
    assert row["result for test/tiou"].text == "lower"
    table = reports.comparison_table(found(sweep)[1])
    assert table.meanings["result for test/tiou"].endswith("shown: the interval contains 0")
    assert "Even if nothing differs, about one of 20 comparisons" in table.notes[0]


def test_one_seed_and_other_seeds_allow_no_comparison(tmp_path):
    finished(tmp_path / "a", "giou", 0)
    finished(tmp_path / "b", "iou", 0)
    joined, said = "the grey lines join", "No comparison possible"
    assert tables(tmp_path)[1] == []
    page = shown(tmp_path, reports.page)
    assert page.count(said) == 1
    assert joined in page
    finished(tmp_path / "b", "iou", 1)
    assert tables(tmp_path)[1] == []
    page = shown(tmp_path, reports.page)
    assert page.count(said) == 1
    assert joined not in page


def test_metrics_of_two_kinds_are_not_compared(tmp_path):
    for seed in (0, 1):
        finished(tmp_path / f"a{seed}", "giou", seed)
        run = finished(tmp_path / f"b{seed}", "iou", seed)
        write_run(run, {"metrics.json": {"val/mAP": 0.5, "test/mAP": 0.6}})
    groups, (row,), *_ = tables(tmp_path)
    assert [group["metric"].text for group in groups] == [
        "0.91 ± 0 (test/tiou)",
        "0.6 ± 0 (test/mAP)",
    ]
    assert row["metric"].text == "test/tiou and test/mAP"
    assert row["difference, first minus second"].text == reports.NONE
    assert row["1 − tIoU, training, first minus second"].text == "+0.0000 [+0.0000, +0.0000]"


def test_runs_say_how_far_they_got(sweep):
    rows = {row["run"].text: row for row in tables(sweep)[2]}
    assert rows["failed"]["remarks"].text == "ValueError: nan at step 7"
    assert rows["failed"]["state"].text == "failed"
    going = rows["going"]
    assert (going["state"].text, going["epochs"].text, going["steps"].text) == (
        "going", "1 of 10", "70",
    )  # fmt: skip
    assert going["last written"].text.endswith("(2 min ago)")
    last = [float(line.split(",")[4]) for line in log(70).splitlines() if line.split(",")[4:5] > [""]
            and line[0].isdigit()][-20:]  # fmt: skip
    assert going["last span loss"].value == pytest.approx(sum(last) / 20)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "use", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and tag == self.open[-1]:
            self.open.pop()


def parsed(text):
    parser = Tags()
    parser.feed(text)
    return parser


def test_the_page_is_whole_and_asks_for_nothing(sweep):
    text = shown(sweep, reports.page)
    tags = parsed(text)
    assert tags.open == []
    assert tags.tags.count("script") == 1
    assert not {"link", "img", "iframe", "object", "image", "base", "form"} & set(tags.tags)
    for name, value in tags.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith("#")
        assert not name.startswith("on")
    assert not re.search(r"url\((?!#)|@import", text)
    assert tags.tags.count("figure") == 3


def test_no_two_things_on_the_page_have_one_id(sweep):
    tags = parsed(shown(sweep, reports.page))
    ids = [value for name, value in tags.attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 10
    wanted = {v[1:] for n, v in tags.attributes if n == "xlink:href"}
    wanted |= {m for _, v in tags.attributes for m in re.findall(r"url\(#([^)]+)\)", v or "")}
    assert wanted
    assert wanted <= set(ids)


EVIL = "<script>alert(1)</script> & \"x\" 'y' | `a` *b* [c](d) $\\frac$"


def test_what_files_say_never_becomes_markup(tmp_path):
    evil_metric = {"test/<img src=x onerror=alert(1)>$\\x$": 0.5, "time/train": 1.0}
    for seed in (0, 1):
        for loss in ("giou", "iou"):
            run = finished(
                tmp_path / f"{loss}{seed}", loss, seed, data__label_noise=EVIL * (seed + 1)
            )
            tree = config(loss, seed, data__label_noise=EVIL if loss == "iou" else "$")
            tree["span_loss"]["_target_"] += "<b>$\\x$"
            write_run(run, {"config.yaml": tree, "metrics.json": evil_metric})
    write_run(tmp_path / "<i>bad", {"config.yaml": config(), "error.txt": EVIL})
    text = shown(tmp_path, reports.page)
    tags = parsed(text)
    assert tags.tags.count("script") == 1
    assert not {"img", "b", "i"} & set(tags.tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;x&#34;" in text
    marked = shown(tmp_path, reports.markdown)
    assert "<script>" not in marked
    assert "&lt;script&gt;" in marked
    assert r"\| \`a\` \*b\* [c\](d) $\\frac$" in marked
    for block in marked.split("\n\n"):
        if block.startswith("| "):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_same_runs_give_the_same_page_and_markdown_has_its_numbers(sweep):
    assert shown(sweep) == shown(sweep)
    text = shown(sweep, reports.markdown)
    assert text.startswith("# Report of spanloc runs\n\n8 runs: 6 finished, 1 going, 1 failed.\n")
    assert "| span_loss=giou | 3 of 5 |" in text
    assert "0.930 ± 0.036" in text


def test_without_gradients_there_is_no_part_on_them(tmp_path):
    write_run(tmp_path, {"config.yaml": config()})
    assert not any("Gradient and loss" in text for text in shown(tmp_path))
    write_run(tmp_path, {"config.yaml": "broken: ["})
    assert "config.yaml cannot be used: while parsing" in shown(tmp_path, reports.page)


def test_figures_leave_out_what_no_log_axis_has(tmp_path):
    lines = (
        "epoch,train/loss_span,grad/spans,grad/params,step\n0,0,0,0,0\n0,nan,1,1,1\n0,inf,1,1,2\n"
    )
    write_run(tmp_path, {"overrides.yaml": []})
    logged(tmp_path, lines)
    assert "<figure>" not in shown(tmp_path, reports.page)
    logged(tmp_path, lines + "0,0.5,1.4,,3\n")
    assert shown(tmp_path, reports.page).count("<figure>") == 1


def test_the_command(cli, trained, tmp_path):
    out = cli("report", f"runs={trained['single'].parent}", "hydra.run.dir=out")
    text = (out / "out" / "report.html").read_text()
    assert "1 run: 1 finished" in text
    assert "test/tiou" in text
    assert text.count("<figure>") == 3
    both = [str(trained[model]) for model in ("single", "detection")]
    out = cli("report", f"runs=[{','.join(both)}]", "hydra.run.dir=out")
    assert "2 runs: 2 finished" in (out / "out" / "report.md").read_text()
    line = cli("report", "runs=nowhere", folder=tmp_path)
    assert line == "spanloc-report: error: nowhere: no such folder (runs)"
    line = cli("report", f"runs={tmp_path}", folder=tmp_path)
    assert "no run in this folder or below it (runs)" in line
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert cli("report") == "spanloc-report: error: runs is not set; add runs=... to the command"
    assert "runs is []; wanted a run folder" in cli("report", "runs=[]")


def test_missing_values_sort_last_and_show_as_a_dash(tmp_path):
    write_run(tmp_path, {"config.yaml": config(), "overrides.yaml": []})
    (row,) = tables(tmp_path)[0]
    assert row["training (s)"].text == reports.NONE
    assert math.isnan(row["training (s)"].value)
    finished(tmp_path / "one", metrics={}, figures={"tiou": None})
    assert "1 − tIoU, training" not in tables(tmp_path)[3][0]
    assert f'data-value="">{reports.NONE}' in shown(tmp_path, reports.page)
