"""The parts of the documentation's site that need no Sphinx: navigation, links, generated parts."""

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.site import pages, reference
from ferminet.cli.main import main, make_parser
from ferminet.systems.files import SystemFile
from tests.helpers.how_to import HOW_TO

ROOT = Path(__file__).parents[1]
# A command of a page, without its comment.
COMMAND = re.compile(r"^ *(?:\$ )?(?:\.venv/bin/)?ferminet ([a-z].*?)(?: +#.*)?$", re.M)


def test_the_navigation_has_every_page_once() -> None:
    listed = [page for section in pages.navigation().values() for page in section]
    listed += [page for index in listed for page in pages.below(index)]
    exist = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    exist |= {"CONTRIBUTING.md", "CHANGELOG.md"}
    assert sorted(listed) == sorted(exist - {pages.INDEX})


def test_links_lead_to_the_pages_of_the_site() -> None:
    page = "docs/how-to/compare.md"
    text = (
        "[a](../reference/targets.md#targets) [b](../../README.md) [c](#the-suite) "
        "[d](../../ferminet/units.py) [e](https://doi.org/1) ![f](../images/gate.png)\n"
        "```\n[g](../../README.md)\n```\n"
    )
    assert pages.with_site_links(text, page) == (
        "[a](/reference/targets.md#targets) [b](/index.md) [c](#the-suite) "
        "[d](/source/ferminet/units.py.md) [e](https://doi.org/1) ![f](/images/gate.png)\n"
        "```\n[g](../../README.md)\n```\n"
    )
    with pytest.raises(FileNotFoundError, match=r"compare\.md links to targets\.md"):
        pages.with_site_links("[a](targets.md)", page)


@pytest.mark.parametrize("name", [n for names in reference.public_names().values() for n in names])
def test_public_names_exist_and_have_docstrings(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    assert found.__doc__
    if "." in name.removeprefix("ferminet."):  # `ferminet.load` has its name from elsewhere
        assert found.__module__ == module


def test_the_commands_are_listed_with_all_arguments() -> None:
    (subparsers,) = (a for a in make_parser()._actions if isinstance(a.choices, dict))
    shown = reference.commands()
    for name, parser in (subparsers.choices or {}).items():
        part = shown.partition(f"\n### `{name}`\n")[2].partition("\n### ")[0]
        for option in parser._option_string_actions.keys() - {"-h", "--help"}:
            assert re.search(rf"`{option}[` ]", part), f"{name} {option}"


def keys_of(value: Any) -> set[str]:
    """Return the keys of blocks in YAML, at any depth."""
    if not isinstance(value, dict):
        return set()
    return set(value).union(*map(keys_of, value.values()))


def test_the_keys_of_studies_and_molecules_are_listed() -> None:
    rows = {n: re.findall(r"^\| `(\w+)` \|", reference.keys(n, "Keys"), re.M)
            for n in ("study", "system")}  # fmt: skip
    defaults = yaml.safe_load((ROOT / "workflow" / "schemas" / "defaults.yaml").read_text())
    # Names that a user chooses, in the examples of that file.
    defaults["ansatz"] = defaults["ansatz"]["ferminet"]
    defaults["overrides"] = {}
    assert keys_of(defaults) <= set(rows["study"])
    assert SystemFile.model_fields.keys() <= set(rows["system"])


@pytest.mark.parametrize("name", ["study", "system"])
def test_no_key_is_listed_without_kind_and_meaning(name: str) -> None:
    for line in reference.keys(name, "Keys").splitlines():
        if line.startswith("| `") and not line.startswith("| `shape` |"):
            cells = re.split(r"(?<!\\)\|", line)
            assert cells[2].strip() and cells[4].strip(), line


def commands_of_pages() -> list[str]:
    """Return the commands of all pages, each on one line."""
    texts = (path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    lines = (re.sub(r" *\\\n *", " ", text) for text in texts)
    return sorted({command for line in lines for command in COMMAND.findall(line)})


@pytest.mark.parametrize("command", commands_of_pages())
def test_the_parser_accepts_the_commands_of_the_pages(command: str) -> None:
    make_parser().parse_args(shlex.split(command))


def test_quickstarts_page_shows_the_table_that_its_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (HOW_TO / "quickstart.md").read_text()
    (command, shown) = re.findall(r"^\$ \.venv/bin/ferminet (.*)\n([^`]*)```", text, re.M)[0]
    monkeypatch.chdir(ROOT)
    assert main(command.split()) == 0
    assert capsys.readouterr().out.rstrip() == shown.rstrip()
