"""The pages keep what they promise: their code runs, their commands are understood, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("sphinx", reason="the extra docs")
pytest.importorskip("sybil", reason="the extra docs")
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

import transformers_uniref
from places import ROOT  # noqa: E402
from transformers_uniref.frontends.cli.main import available_verbs, build_parser

DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_tools"))

import made_pictures  # noqa: E402
import markdown_docstrings  # noqa: E402
import page_blocks  # noqa: E402
import repository_links  # noqa: E402

PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]
OTHER_PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("[!.]*/README.md")),
]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_CODE = [page for page in PAGES if page_blocks.blocks(page, "python")]


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_python_code_of_a_page_runs_from_top_to_bottom(page: Path) -> None:
    made_pictures.make(page, force=True)


def test_a_block_that_fails_is_named_with_its_line_and_its_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nnumber = 1\n```\n\n```python\nassert number == 2, 'not two'\n```\n")
    with pytest.raises(page_blocks.PageError, match=r"(?s)page\.md, block at line 7.*AssertionError: not two"):
        page_blocks.run_page(page, tmp_path)


def test_a_block_that_cannot_run_must_compile_all_the_same(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: needs the Hub -->\n```python\nraise SystemError\n```\n")
    assert page_blocks.run_page(page, tmp_path) == 1
    page.write_text("<!-- not run: needs the Hub -->\n```python\nthis is no code\n```\n")
    with pytest.raises(page_blocks.PageError, match="SyntaxError"):
        page_blocks.run_page(page, tmp_path)


def test_invisible_code_sets_up_what_the_page_does_not_show(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- invisible-code-block: python\nnumber = 2\n-->\n```python\nassert number == 2\n```\n")
    assert page_blocks.run_page(page, tmp_path) == 2


def simple_commands(command: str) -> Iterator[list[str]]:
    """The words of what stands between `|`, `&&` and their like, without redirections and `...`."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    redirected = False
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            yield words
            words = []
        elif set(word) <= set("<>"):
            redirected = True
        elif redirected:
            redirected = False
        elif word != "...":
            words.append(word)


def own_commands(command: str) -> Iterator[list[str]]:
    """The arguments of each call of this package's command in a line of a shell; `...` stands for more of the same."""
    for words in simple_commands(command):
        for index, word in enumerate(words):
            if word == "uniref" or word.endswith("/uniref"):
                yield words[index + 1 :]
                break
            if words[index : index + 2] == ["-m", "transformers_uniref"]:
                yield words[index + 2 :]
                break


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_a_page_are_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line, command in page_blocks.shell_commands(page):
        for arguments in own_commands(command):
            verbs = arguments[:1] if arguments[0] in available_verbs() else available_verbs()
            try:
                build_parser(verbs).parse_args(arguments)
            except SystemExit as end:
                message = f"{name_of(page)}, line {line}: {command}\n{capsys.readouterr().err}"
                assert end.code in (0, None), message  # 0: --help, --version


def test_commands_are_found_in_whatever_surrounds_them() -> None:
    line = (
        "WORLD_SIZE=2 accelerate launch --num_processes 2 -m transformers_uniref train world ... && uniref demo > log"
    )
    assert list(own_commands(line)) == [["train", "world"], ["demo"]]
    assert not list(own_commands("pip install transformers-uniref"))


def tokens_of(page: Path) -> list:
    reader = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)
    return reader.parse(page.read_text())


def anchors_of(page: Path) -> set[str]:
    return {str(token.attrs["id"]) for token in tokens_of(page) if token.type == "heading_open" and "id" in token.attrs}


def links_of(page: Path) -> Iterator[str]:
    for token in tokens_of(page):
        for child in token.children or ():
            link = child.attrs.get("href") or child.attrs.get("src")
            if link:
                yield unquote(str(link))


def is_broken(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return False
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if target.parent == made_pictures.FOLDER:
        return False  # they are there once they are made; making them says what is missing
    return not target.exists() or bool(anchor and anchor not in anchors_of(target))


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_links_of_a_page_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert [link for link in links_of(page) if is_broken(page, link)] == []


def test_broken_links_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n\n[a](#one-thing) [b](#other) [c](none.md) [d](page.md#one-thing) [e](https://a.b)\n")
    assert [link for link in links_of(page) if is_broken(page, link)] == ["#other", "none.md"]


def test_tables_in_docstrings_become_restructuredtext() -> None:
    given = ["| `a` | b |", "|---|---|", '| 1 | "x", y |', "", "See [`Record`]."]
    assert markdown_docstrings.to_rst(given) == [
        *(".. csv-table::", '   :header: "`a`", "b"', "", '   "1", """x"", y"', "", "See `Record`."),
    ]


def test_markdown_in_docstrings_becomes_restructuredtext() -> None:
    given = [
        "Finds.",
        "```python",
        "find()",
        "",
        "found",
        "```",
        "Returns:",
        "    A dict:",
        "    - `a`: one",
        "    - `b`",
    ]
    assert markdown_docstrings.to_rst(given) == [
        *("Finds.", "", ".. code-block:: python", "", "    find()", "", "    found", ""),
        *("Returns:", "    : A dict:", "", "    - `a`: one", "    - `b`"),
    ]


def test_links_to_files_outside_of_the_pages_lead_to_the_pages_that_include_them() -> None:
    page = DOCS / "tasks" / "page.md"
    text = "[a](../../CHANGELOG.md#x) [b](../../LICENSE) [c](../data.md) [d](../../benchmarks/README.md)"
    assert repository_links.with_links_to_pages(page, text) == (
        "[a](../changelog.md#x) [b](../../LICENSE) [c](../data.md) [d](../benchmarks.md)"
    )
    text = "[scripts](../../examples/) [none](../../none.md) [card](../../CITATION.cff)"
    assert repository_links.with_links_to_pages(page, text) == (
        "scripts [none](../../none.md) [card](../../CITATION.cff)"
    )
    for file, name in repository_links.PAGE_OF.items():
        assert (ROOT / file).is_file() and (DOCS / f"{name}.md").is_file()


class Fetched(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in ("canonical", "next", "prev", "author", "index", "search"):
            return
        for name in ("src", "data", "poster") if tag != "link" else ("href",):
            if values.get(name):
                self.addresses.append(str(values[name]))


def test_site_builds_without_warnings_names_the_public_api_and_fetches_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(DOCS),
        str(tmp_path / "site"),
    ]
    built = subprocess.run([*command, "-d", str(tmp_path / "trees")], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr

    from sphinx.util.inventory import InventoryFile

    described = InventoryFile.loads((tmp_path / "site" / "objects.inv").read_bytes(), uri="").data
    names = {name for kind, objects in described.items() if kind.startswith("py:") for name in objects}
    assert {f"transformers_uniref.{name}" for name in transformers_uniref.__all__} <= names
    for module in ("adapters", "metrics", "training", "worlds"):
        public = __import__(f"transformers_uniref.{module}", fromlist=["__all__"]).__all__
        assert {f"transformers_uniref.{module}.{name}" for name in public} <= names

    for page in (tmp_path / "site").rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text())
        assert not [address for address in fetched.addresses if re.match(r"(https?:)?//", address)], page
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", sheet.read_text()), sheet
