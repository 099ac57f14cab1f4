"""What is wrong with the rows of files: counted, with a first example each."""

from collections.abc import Mapping


class Problems:
    """Counts what is wrong, by kind, with where each kind was met first.

    Args:
        file: That the rows are of.
        what: The rows, in the plural.
    """

    def __init__(self, file: str, what: str) -> None:
        self.file, self.what = file, what
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, count: int, example: str) -> None:
        """``count`` more of a kind; the example is kept where it is the first."""
        if count:
            before, first = self._found.get(kind, (0, example))
            self._found[kind] = (before + count, first)

    def counts(self) -> Mapping[str, int]:
        """How many rows there are of each kind."""
        return {kind: count for kind, (count, _) in self._found.items()}

    def lines(self) -> list[str]:
        """A line for each kind: how many, and the first."""
        return [
            f"{count:,} {self.what if count > 1 else self.what[:-1]} with {kind}, first {example}"
            for kind, (count, example) in self._found.items()
        ]

    def settle(self, policy: str) -> None:
        """Refuse the file, unless what is wrong is to be skipped.

        Raises:
            ValueError: There is something wrong and ``policy`` is not ``skip``.
        """
        if self._found and policy != "skip":
            raise ValueError(
                f"{self.file}: {'; '.join(self.lines())}. invalid=skip leaves such rows out"
            )
