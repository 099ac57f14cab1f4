"""Writes the tables of docs/losses.md: what every choice of ``span_loss`` promises."""

import re
from pathlib import Path

import yaml

from spanloc.config.build import build
from spanloc.files import replacing
from spanloc.losses.properties import table

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    files = sorted((ROOT / "configs" / "span_loss").glob("*.yaml"))
    losses = {file.stem: build(yaml.safe_load(file.read_text())) for file in files}
    page = ROOT / "docs" / "losses.md"
    text = re.sub(
        r"(?<=<!-- table -->\n).*?(?=\n<!-- end -->)", lambda _: f"\n{table(losses)}", page.read_text(),
        flags=re.DOTALL,
    )  # fmt: skip
    with replacing(page) as file:
        file.write_text(text)


if __name__ == "__main__":
    main()
