"""Hooks of the site: pages from the top of the repository, links out of docs/, and nothing fetched from elsewhere."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Files beside docs/ that the site shows under project/."""

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=["']?(?:https?:)?//"""
    r"""|<(?:pre|div)\b[^>]*?\bclass=["']?mermaid"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*?\bhref=["']?(?:https?:)?//""",
    re.IGNORECASE,
)
"""What a browser would get from another server as soon as a page is opened; for diagrams Material fetches a program."""


OUTSIDE = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<path>[\w./-]+)")
"""A link that begins by going up."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the project's pages, with their links turned to where the site has their targets, and files that are linked.

    A file of the repository that a page links to, such as compose.yaml, becomes a text file beside the project's pages.
    """
    top = Path(config.config_file_path).parent
    for name in PROJECT_PAGES:
        text = (top / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/([^)]+)\)", r"](../\1)", text)
        files.append(File.generated(config, f"project/{name}", content=text))
    linked = {
        path
        for file in list(files.documentation_pages())
        if not file.src_uri.startswith("project/")
        for match in OUTSIDE.finditer(file.content_string)
        if (path := _outside(file.src_uri, match, top)) is not None
    }
    for path in sorted(linked - set(PROJECT_PAGES)):
        text = (top / path).read_text(encoding="utf-8")
        files.append(File.generated(config, f"project/{path}.txt", content=text))
    return files


def _outside(page: str, match: re.Match[str], top: Path) -> str | None:
    """Return the file beside docs/ that a link of a page leads to, if there is one."""
    is_out = match["up"].count("../") == page.count("/") + 1
    return match["path"] if is_out and (top / match["path"]).is_file() else None


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Turn links from docs/ to a file beside it into links to its place here."""
    top, uri = Path(config.config_file_path).parent, page.file.src_uri

    def turned(match: re.Match[str]) -> str:
        path = _outside(uri, match, top)
        if path is None:
            return match[0]
        name = path if path in PROJECT_PAGES else f"{path}.txt"
        return f"]({'../' * uri.count('/')}project/{name}"

    return markdown if uri.startswith("project/") else OUTSIDE.sub(turned, markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Refuse a page that would fetch anything from another server.

    Raises:
        PluginError: it would; names the page and the element.
    """
    found = FETCHED.search(output)
    if found is not None:
        shown = output[found.start() : found.start() + 160].splitlines()[0]
        raise PluginError(f"{page.file.src_uri} fetches something from elsewhere when it is read: {shown}")
    return output
