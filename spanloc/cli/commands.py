"""The console commands. Almost nothing is imported until streams and signals are taken care of."""

import sys
from collections.abc import Callable


def _command(name: str) -> Callable[[], None]:
    def main() -> None:
        try:
            from spanloc.cli.frame.machine import share_cores
            from spanloc.cli.frame.stopping import stoppable
            from spanloc.cli.frame.terminal import harmless_streams

            share_cores()
            with harmless_streams(f"spanloc-{name}"), stoppable(f"spanloc-{name}"):
                from spanloc.cli.frame.entry import run

                run(name)
        except KeyboardInterrupt:  # before the handlers of signals were there
            print(f"spanloc-{name}: interrupted", file=sys.stderr)
            sys.exit(130)

    return main


train = _command("train")
evaluate = _command("evaluate")
predict = _command("predict")
score = _command("score")
probe = _command("probe")
report = _command("report")
check = _command("check")
export = _command("export")
tune = _command("tune")
