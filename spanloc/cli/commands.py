"""The console commands."""

from spanloc.cli.entry import command

train = command("train")
evaluate = command("evaluate")
score = command("score")
probe = command("probe")
report = command("report")
