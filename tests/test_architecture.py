"""The house: floors, folders, files."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"structures", "facts", "files", "lightning"},
    {"ops"},
    {"losses", "models", "metrics", "data"},
    {"matching", "decode"},
    {"criterion"},
    {"convergence"},
    {"plots"},
    {"training"},
    {"config"},
    {"inference", "reports"},
    {"cli"},
]
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
ONLY_IN = {
    "hydra": {"config", "cli"},
    "omegaconf": {"config", "cli"},
    "pytorch_lightning": {"lightning", "cli"},
    "matplotlib": {"plots", "cli"},
    "numba": {"ops", "metrics"},
}
SOURCES = sorted((ROOT / "spanloc").rglob("*.py"))
MAX_LINES = 300


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


# All files in one test: a test for each would take longer to collect than to run.
def test_imports_go_down_only():
    for path in SOURCES:
        part = path.relative_to(ROOT / "spanloc").with_suffix("").parts[0]
        if part == "__init__":
            continue
        assert part in FLOOR, f"{part} has no floor"
        for name in imports(path):
            head, *rest = name.split(".")
            assert part in ONLY_IN.get(head, {part}), f"{path} imports {name}"
            if head != "spanloc" or rest[0] == part:
                continue
            target = rest[0]
            assert target in FLOOR, f"{path} imports {name}: from a part, not from spanloc itself"
            assert FLOOR[target] < FLOOR[part], f"{path} imports {name}: not from a lower floor"


def test_no_file_is_too_long():
    lengths = {
        path: len(path.read_text().splitlines())
        for path in (*SOURCES, *(ROOT / "tests").rglob("*.py"))
    }
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("reference*.py")), ids=str)
def test_the_references_share_no_code(path):
    assert not any(name.startswith("spanloc") for name in imports(path))


def test_the_package_list_is_the_tree():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in SOURCES}
    tree = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert sorted(listed) == sorted({*tree, "spanloc.configs"})
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_the_version_is_one():
    import spanloc

    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert content["project"]["dynamic"] == ["version"]
    assert content["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "spanloc.__version__"}
    assert version("spanloc") == spanloc.__version__
    assert f"## {spanloc.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {spanloc.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(name for extra in extras.values() for name in extra)]
    # An extra may name the others.
    for name in {Requirement(text).name for text in wanted} - {"spanloc"}:
        assert name.lower().replace("_", "-") in pinned, name


def test_importing_spanloc_imports_nothing_heavy():
    code = "import sys, spanloc; print([n for n in sys.modules if n in {heavy}])"
    heavy = {"torch", "pytorch_lightning", "hydra", "matplotlib", "numba", "torchmetrics"}
    command = [sys.executable, "-c", code.format(heavy=heavy)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


@pytest.mark.parametrize("part", ["ops", "data", ""])
def test_a_lazy_name_is_what_its_stub_says(part):
    package = import_module(f"spanloc.{part}".rstrip("."))
    assert package.__all__
    for name in package.__all__:
        assert getattr(package, name) is not None
