"""``spanloc-report``: tables and plots of many runs."""

import time

from omegaconf import DictConfig

from spanloc import plots, reports
from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.show import MOST_PRINTED, plain_console, show_rest, show_table
from spanloc.config.build import as_names
from spanloc.files import write_text
from spanloc.reports.learning_curve import lines


def run(config: DictConfig) -> None:
    """Run ``spanloc-report``."""
    folder, now = run_folder(), time.time()
    places = as_names(config.runs)
    if not places or "" in places:
        raise ValueError(
            f"runs is {config.runs!r}; wanted a run folder, a folder of runs, or a list of these"
        )
    runs = reports.find_runs(places, now=now)
    groups = reports.group_runs(runs)
    curves = reports.learning_curves(groups)
    write_text(folder / "report.html", reports.page(runs, groups, now=now, curves=curves))
    write_text(folder / "report.md", reports.markdown(runs, groups, now=now, curves=curves))
    for number, (metric, same) in enumerate(reports.by_metric(curves).items()):
        figure = plots.learning_curve(same, metric)
        if figure is not None:
            name = f"learning_curve{number or ''}.png"
            plots.save_figure(figure, folder / name)
    console = plain_console()
    console.print(f"{reports.count_states(runs)}.")
    show_table(console, reports.group_table(groups), notes=True)
    comparison = reports.comparison_table(groups)
    show_table(console, comparison, notes=not comparison.rows)
    for line in lines(curves):
        console.print(line)
    others = [run for run in runs if run.state != "finished" or run.problems]
    for run in others[:MOST_PRINTED]:
        console.print(f"{run.state}: {run.name} {'; '.join(run.remarks)}".rstrip())
    show_rest(console, len(others))
    console.print(f"The page is {folder / 'report.html'}")
