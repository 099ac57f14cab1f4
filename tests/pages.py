"""The pages of docs/, for the tests that run what they say."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The least of a training.
SHORT = (
    "trainer.max_steps=2", "trainer.max_epochs=1", "trainer.num_sanity_val_steps=0",
    "backbone.width=8", "neck.width=8", "head.width=8", "trainer.accelerator=cpu",
    "callbacks.convergence=null", "callbacks.gradients=null", "data.num_workers=0",
)  # fmt: skip
# And none of what comes after it.
BARE = (*SHORT, "test=false", "fit_decode=false")


def page(name):
    return (ROOT / "docs" / name).read_text()


def blocks(text, kind):
    """The blocks of code of a kind, ``sh`` or ``python``, or without one."""
    found = re.findall(r"```(\w*)\n(.*?)\n```", text, re.DOTALL)
    return [block for said, block in found if said == kind]


def commands(text):
    return [line for block in blocks(text, "sh") for line in block.split("\n")]


def run(cli, line, *more, **options):
    """Runs a command of a page; gives what the fixture ``cli`` does."""
    command, *arguments = shlex.split(line, comments=True)
    return cli(command.removeprefix("spanloc-"), *arguments, *more, **options)
