"""Links of the files at the top lead to a file that is there, and to a heading that is in it.

Links between pages of docs/ are checked by `mkdocs build --strict`, which `make check` runs; it does not know the
files beside docs/.
"""

import re
import subprocess
import unicodedata

import pytest
import site_hooks
import yaml

from tests.docs.pages import PAGES, ROOT, name_of, without_blocks

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+?)\s*#*$", re.MULTILINE)
AT_THE_TOP = sorted(ROOT.glob("*.md"))


def targets_of(page):
    return [match[1] for match in LINK.finditer(without_blocks(page))]


def anchors_of(page):
    """Anchors as GitHub and MkDocs make them of plain headings: words in lower case with hyphens between them."""
    found = set()
    for heading in HEADING.findall(without_blocks(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        found.add(re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower()))
    return found


def problem_with(page, target):
    """Say what is wrong with a link; None where it leads somewhere, or to another server."""
    if re.match(r"^[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    if not place.exists():
        return f"{name_of(page)}: {target}: there is no such file"
    if not place.is_relative_to(ROOT):
        return f"{name_of(page)}: {target}: outside the repository"
    if anchor and place.suffix == ".md" and anchor not in anchors_of(place):
        return f"{name_of(page)}: {target}: no heading has this anchor"
    return None


@pytest.mark.parametrize("page", AT_THE_TOP, ids=name_of)
def test_links_lead_somewhere(page):
    wrong = [problem for target in targets_of(page) if (problem := problem_with(page, target))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in AT_THE_TOP], ids=name_of)
def test_files_that_pages_link_to_are_there(page):
    """Also where the site would not notice: files beside docs/, and pictures."""
    wrong = [
        problem for target in targets_of(page) if (problem := problem_with(page, target.partition("#")[0] or page.name))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("docs/no-such-page.md", "no such file"),
        ("docs/training.md#no-such-heading", "no heading"),
        ("../elsewhere.md", "no such file"),
    ],
)
def test_a_broken_link_is_noticed(target, said):
    assert said in problem_with(ROOT / "README.md", target)


def test_a_link_that_leads_somewhere_is_not():
    assert problem_with(ROOT / "README.md", "docs/training.md#certified-thresholds") is None
    assert problem_with(ROOT / "README.md", "https://example.org/anything#at-all") is None


@pytest.mark.parametrize(
    ("element", "is_refused"),
    [
        ('<script src="https://cdn.example.org/a.js"></script>', True),
        ('<link rel="stylesheet" href="//fonts.example.org/css">', True),
        ('<link href="https://fonts.example.org" rel="preconnect">', True),
        ('<img alt="" src="http://example.org/a.png">', True),
        ('<pre class="mermaid"><code>graph LR</code></pre>', True),
        ('<script src="assets/a.js"></script>', False),
        ('<a href="https://example.org">a link is not fetched</a>', False),
        ('<link rel="canonical" href="https://example.org/">', False),
    ],
)
def test_what_a_page_would_fetch_from_elsewhere_is_refused(element, is_refused):
    assert (site_hooks.FETCHED.search(element) is not None) is is_refused


def broken_site(tmp_path, text):
    """Build a site of one page with the project's own settings."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(text)
    for name in site_hooks.PROJECT_PAGES:
        (tmp_path / name).write_text("# A page\n")
    settings = (ROOT / "mkdocs.yml").read_text()
    kept = yaml.safe_load(settings.partition("\nplugins:")[0])
    kept |= {"hooks": [str(ROOT / "docs" / "site_hooks.py")], "plugins": [], "validation": {"anchors": "warn"}}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(kept))
    program = ROOT / ".venv" / "bin" / "mkdocs"
    if not program.exists():
        pytest.skip("mkdocs is not installed beside this checkout (make setup)")
    return subprocess.run(
        # Not --quiet: that would also keep --strict from seeing warnings.
        [program, "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "fails_with"),
    [
        ("# A\n\n[b](no-such-page.md)\n", "no-such-page.md"),
        ("# A\n\n[b](#no-such-heading)\n", "no-such-heading"),
        ('# A\n\n<img src="https://example.org/a.png">\n', "fetches something from elsewhere"),
        ("# A\n\n[b](#a), [the log](../CHANGELOG.md)\n", None),
    ],
    ids=["page", "anchor", "elsewhere", "good"],
)
def test_a_site_with_a_mistake_is_not_built(tmp_path, text, fails_with):
    built = broken_site(tmp_path, text)
    if fails_with is None:
        assert built.returncode == 0, built.stderr
    else:
        assert built.returncode != 0
        assert fails_with in built.stderr
