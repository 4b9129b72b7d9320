"""Links of pages to files and folders outside of `docs/`, which lead somewhere in the repository but not on the site.

Those that readers look for have a page here that includes them, and the links lead there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
PAGE_OF = {
    "benchmarks/README.md": "benchmarks",
    "src/transformers_uniref/checkpoints/uniref-pp/README.md": "bundled_model",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "README.md": "index",
}
LINK = re.compile(r"\[(?P<text>[^\]\[]*)\]\((?P<path>(?:\.\./)+[\w./-]*)(?P<anchor>#[\w-]+)?\)")


def with_links_to_pages(page: Path, text: str) -> str:
    """The text of a page in `docs/`, with its links to the files of `PAGE_OF` led to their pages.

    Of a link to a folder, or to another Markdown file, only the words are left. Sphinx copies files of other kinds.
    """

    def replaced(link: re.Match[str]) -> str:
        target = (page.parent / link["path"]).resolve()
        if not target.exists() or target.is_relative_to(DOCS) or not target.is_relative_to(ROOT):
            return link[0]
        name = PAGE_OF.get(target.relative_to(ROOT).as_posix())
        if name is not None:
            path = os.path.relpath(DOCS / f"{name}.md", page.parent)
            return f"[{link['text']}]({path}{link['anchor'] or ''})"
        return link["text"] if target.is_dir() or target.suffix == ".md" else link[0]

    return LINK.sub(replaced, text)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = with_links_to_pages(Path(app.env.doc2path(name)), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
