"""Every relative link and image of the README and of the pages leads to something; the tutorials are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*NAMED, *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [path for path in PAGES if not {"_build", "auto_tutorials"} & set(path.parts)]


def prose(path):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """The anchors of a page's headings, as GitHub and the site name them."""
    for heading in re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        yield plain.strip().replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        # The tutorials' pages are made from scripts.
        script = name.replace("auto_tutorials", "tutorials").replace(".rst", ".py")
        found = path.parent / script if name else path
        assert found.exists(), f"{path.name}: {target}"
        if anchor:
            assert anchor in anchors(found), f"{path.name}: {target}"


def test_every_picture_of_the_folder_is_shown():
    shown = {name for path in PAGES for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", prose(path))}
    drawn = {path.name for path in (ROOT / "docs").glob("*.png")}
    assert drawn == {Path(name).name for name in shown}


def test_a_link_to_nowhere_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[there](#a-page), [not there](other.md)\n")
    assert list(anchors(page)) == ["a-page"]
    with pytest.raises(AssertionError, match="other.md"):
        test_every_relative_link_leads_somewhere(page)


def test_the_tutorials_are_there():
    # `make docs` runs them.
    tutorials = sorted((ROOT / "docs" / "tutorials").glob("plot_*.py"))
    assert len(tutorials) == 6
    for path in tutorials:
        title, line = path.read_text().split("\n")[1:3]
        assert line == "=" * len(title), path.name
