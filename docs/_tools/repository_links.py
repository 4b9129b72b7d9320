"""Links of pages to Markdown files outside of `docs/`, which lead somewhere in the repository but not on the site.

Such a file has a page here that includes it, and the links lead there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent.parent
PAGE_OF = {
    "benchmarks/README.md": "benchmarks",
    "src/transformers_uniref/checkpoints/uniref-pp/README.md": "bundled_model",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "README.md": "index",
}
LINK = re.compile(r"\]\((?P<path>(?:\.\./)+[\w./-]+\.md)(?P<anchor>#[\w-]+)?\)")


def with_links_to_pages(page: Path, text: str) -> str:
    """The text of a page in `docs/`, with its links to the files of `PAGE_OF` led to their pages."""

    def replaced(link: re.Match[str]) -> str:
        target = (page.parent / link["path"]).resolve()
        name = PAGE_OF.get(target.relative_to(ROOT).as_posix()) if target.is_relative_to(ROOT) else None
        if name is None:
            return link[0]
        path = os.path.relpath(ROOT / "docs" / f"{name}.md", page.parent)
        return f"]({path}{link['anchor'] or ''})"

    return LINK.sub(replaced, text)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = with_links_to_pages(Path(app.env.doc2path(name)), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
