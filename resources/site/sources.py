"""`python -m resources.site.sources FOLDER`: the sources of the documentation, from the pages and from the code.

The layout is that of the checkout, so links work here as on GitHub. Links to files that are no pages become
their paths.
"""

import re
import shutil
from functools import partial
from pathlib import Path

import click

from lakehouse import console
from lakehouse.settings import PROJECT
from resources.site.reference import pages

HERE = Path(__file__).parent
FIRST_GUIDES = ("bring_your_own_data", "features", "training", "promotion", "serving")
GUIDE = re.compile(r"docs/\w+\.md")
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def write_sources(folder: Path) -> list[str]:
    """Write every page below the folder, which is emptied first; return their paths."""
    shutil.rmtree(folder, ignore_errors=True)
    written = [*_copied(folder)]
    for name, text in pages().items():
        _write(folder / "reference" / name, text)
        written.append(f"reference/{name}")
    index = (HERE / "index.md").read_text(encoding="utf-8")
    listed = _listed(index)
    unlisted = [page for page in written if page not in listed]
    guides = sorted((page for page in unlisted if GUIDE.fullmatch(page)), key=_order)
    others = [page for page in unlisted if page not in guides]
    for placeholder, group in {"@GUIDES@": guides, "@OTHERS@": others}.items():
        index = index.replace(placeholder, "\n".join(page.removesuffix(".md") for page in group))
    _write(folder / "index.md", index)
    shutil.copy(HERE / "conf.py", folder)
    (folder / "_static").mkdir()
    shutil.copy(HERE / "site.css", folder / "_static")
    return [*written, "index.md"]


def _copied(folder: Path) -> list[str]:
    """Copy the pages of the checkout, and those that they link to."""
    waiting = [*("README.md", "CONTRIBUTING.md", "CHANGELOG.md"), *_paths("docs")]
    copied: list[str] = []
    while waiting:
        page = waiting.pop(0)
        if page in copied:
            continue
        text = (PROJECT / page).read_text(encoding="utf-8")
        linked = [_target(page, match[2]) for match in LINK.finditer(text) if "://" not in match[2]]
        waiting += [target for target in linked if target.endswith(".md") and (PROJECT / target).is_file()]
        if page == "README.md":  # the start page has the name of the project
            text = re.sub(r"^# .*", "# Overview", text, count=1)
        _write(folder / page, LINK.sub(partial(_link, page), text))
        copied.append(page)
    return copied


def _paths(folder: str) -> list[str]:
    return sorted(file.relative_to(PROJECT).as_posix() for file in (PROJECT / folder).rglob("*.md"))


def _target(page: str, link: str) -> str:
    joined = (PROJECT / page).parent.joinpath(link).resolve()
    return joined.relative_to(PROJECT).as_posix() if joined.is_relative_to(PROJECT) else link


def _link(page: str, match: re.Match[str]) -> str:
    path = _target(page, match[2])
    if "://" in match[2] or (path.endswith(".md") and (PROJECT / path).is_file()):
        return match[0]  # dead links are found by `make check`
    return f"{match[1]} (`{path}`)" if path not in match[1] else match[1]


def _listed(index: str) -> set[str]:
    """Pages that a list of the index names."""
    return {f"{name}.md" for name in re.findall(r"^(?:[^\n<]*<)?([\w/]+)>?$", index, re.MULTILINE)}


def _order(guide: str) -> tuple[int, str]:
    name = Path(guide).stem
    return FIRST_GUIDES.index(name) if name in FIRST_GUIDES else len(FIRST_GUIDES), guide


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the sources of the documentation below FOLDER."""
    console.detail(f"{len(write_sources(PROJECT / folder))} pages below {folder}")


if __name__ == "__main__":
    console.run_command(main)
