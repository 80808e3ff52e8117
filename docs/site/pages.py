"""The pages of the site, made from the Markdown pages that GitHub shows.

`docs/README.md` lists all pages. Each of its sections becomes one entry of the navigation, with the
pages in the order in which it names them, so there is no second list. An index page of a folder
(`docs/results/README.md`) adds the pages of its folder in the same way.
"""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = "docs/README.md"
# Pages that lie elsewhere in the repository, and the list of all pages, by their names on the site.
MOVED = {
    "README.md": "index.md",
    INDEX: "documentation.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.M | re.S)
_NOT_SEARCHED = "---\norphan: true\nnosearch: true\n---\n\n"
_SOURCE = re.compile(r"\]\(/source/([^)]+)\.md\)")
_LEXERS = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".cff": "yaml"}


def site_name(path: str) -> str:
    """Return the name on the site of a file of the repository, e.g. how-to/compare.md."""
    if path in MOVED:
        return MOVED[path]
    if path.startswith("docs/") and path.endswith((".md", ".png")):
        return path.removeprefix("docs/")
    return f"source/{path}.md"


def slug(title: str) -> str:
    """Return a title as part of an address."""
    return title.lower().replace(" ", "-")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change the text of a page except its fenced code."""
    parts = _FENCE.split(text)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))


def targets(text: str, page: str) -> list[str]:
    """Return the files of the repository that a page links to, in their order."""
    found: list[str] = []
    outside_code(text, lambda part: _LINK.sub(lambda m: _note(m[2], page, found), part))
    return list(dict.fromkeys(found))


def _note(target: str, page: str, found: list[str]) -> str:
    if not target.startswith(("http://", "https://", "#")):
        found.append(_resolved(target.partition("#")[0], page))
    return ""


def _resolved(target: str, page: str) -> str:
    """Return the path from the root of the repository of a link on a page."""
    path = (ROOT / page).parent.joinpath(target).resolve()
    if not path.is_relative_to(ROOT) or not path.is_file():
        raise FileNotFoundError(f"{page} links to {target}, which is no file of the repository")
    return path.relative_to(ROOT).as_posix()


def with_site_links(text: str, page: str) -> str:
    """Return the text of a page with the links that lead to the pages of the site."""

    def changed(match: re.Match[str]) -> str:
        target, _, fragment = match[2].partition("#")
        if not target or match[2].startswith(("http://", "https://")):
            return match[0]
        link = "/" + site_name(_resolved(target, page))
        return f"{match[1]}{link}{'#' if fragment else ''}{fragment}{match[3]}"

    return outside_code(text, lambda part: _LINK.sub(changed, part))


def sections(text: str) -> dict[str, str]:
    """Return the sections of a page by their titles; what precedes the first is left out."""
    parts = re.split(r"^## (.+)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def contents(names: Iterable[str]) -> str:
    """Return the directive that puts pages of the site into the navigation."""
    lines = "\n".join(f"/{name.removesuffix('.md')}" for name in names)
    return f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{lines}\n```\n"


def navigation() -> dict[str, list[str]]:
    """Return the pages of the repository by the sections of `docs/README.md`."""
    return {
        title: [path for path in targets(text, INDEX) if path.endswith(".md")]
        for title, text in sections((ROOT / INDEX).read_text()).items()
    }


def below(index: str) -> list[str]:
    """Return the pages that the index page of a folder lists, if it is one."""
    if not index.endswith("/README.md"):
        return []
    folder = PurePosixPath(index).parent
    pages = targets((ROOT / index).read_text(), index)
    return [path for path in pages if path.endswith(".md") and PurePosixPath(path).parent == folder]


def write_pages(out: Path, additions: dict[str, str], children: dict[str, list[str]]) -> None:
    """Write the pages of the site, and copy their images.

    Args:
        out: the folder.
        additions: text that follows a page on the site, by the page's name in the repository.
        children: further pages of the site below a page in the navigation, by the same name.
    """
    pages = [path.relative_to(ROOT).as_posix() for path in sorted(DOCS.rglob("*.md"))]
    texts = {page: (ROOT / page).read_text() for page in [*MOVED, *pages]}
    entries = {}
    for title, listed in navigation().items():
        # A section of one page is this page.
        name = listed[0] if len(listed) == 1 else f"{slug(title)}.md"
        entries[title] = site_name(name) if len(listed) == 1 else name
        if len(listed) > 1:
            text = with_site_links(sections(texts[INDEX])[title], INDEX)
            write(out / name, f"# {title}\n\n{text}{contents(map(site_name, listed))}")
    for page, text in texts.items():
        text = with_site_links(text, page) + additions.get(page, "")
        if page == INDEX:
            text = _NOT_SEARCHED + text
        elif page == "README.md":
            text += contents(entries.values())
        elif listed := [*map(site_name, below(page)), *children.get(page, [])]:
            text += contents(listed)
        write(out / site_name(page), text)
    shutil.copytree(DOCS / "images", out / "images")


def write_sources(out: Path) -> None:
    """Write a page for each file of the repository that the pages of a folder link to."""
    texts = [page.read_text() for page in out.rglob("*.md")]
    for path in {path for text in texts for path in _SOURCE.findall(text)}:
        write(out / "source" / f"{path}.md", _source_page(path))


def _source_page(path: str) -> str:
    lexer = _LEXERS.get(Path(path).suffix, "text")
    code = (ROOT / path).read_text().rstrip("\n")
    fence = "`" * 6
    return f"{_NOT_SEARCHED}# `{path}`\n\n{fence}{lexer}\n{code}\n{fence}\n"


def write(path: Path, text: str) -> None:
    """Write a page, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
