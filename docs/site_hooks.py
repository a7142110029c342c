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


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the project's pages, with their links turned to where the site has their targets."""
    top = Path(config.config_file_path).parent
    for name in PROJECT_PAGES:
        text = (top / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/([^)]+)\)", r"](../\1)", text)
        files.append(File.generated(config, f"project/{name}", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links from docs/ to a file beside it into links to its page here."""
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\]\(\.\./{re.escape(up)}({'|'.join(PROJECT_PAGES)})", rf"]({up}project/\1", markdown)


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
