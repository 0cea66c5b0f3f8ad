"""The documentation is complete, and its code does what the page says."""

import contextlib
import doctest
import importlib
import importlib.util
import io
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import sparsereg
from sparsereg.commands import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("plot_*.py"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HAS_TORCH = importlib.util.find_spec("torch") is not None
PUBLIC_MODULES = [
    "sparsereg",
    *sorted(f"sparsereg.{n}" for n in sparsereg._SUBMODULES if n != "nn" or HAS_TORCH),
]
if HAS_TORCH:
    PUBLIC_MODULES.append("sparsereg.nn.metrics")


def public_names():
    for module in PUBLIC_MODULES:
        for name in importlib.import_module(module).__all__:
            yield pytest.param(module, name, id=f"{module}.{name}")


def reference_sections():
    """Text of the API reference, by the module that each part of it documents."""
    text = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    parts = re.split(r"^\.\. currentmodule:: (\S+)$", text, flags=re.MULTILINE)
    sections = dict.fromkeys(PUBLIC_MODULES, "")
    for module, section in zip(parts[1::2], parts[2::2]):
        sections[module] = sections.get(module, "") + section
    for home in ("sparsereg.linear_model", "sparsereg.decomposition"):
        sections[home] += sections["sparsereg"]  # re-exported there
    return sections


@pytest.mark.parametrize(("module", "name"), list(public_names()))
def test_public_name_is_in_the_api_reference(module, name):
    assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reference_sections()[module])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_print_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # pages may write files
    monkeypatch.setenv("MPLBACKEND", "agg")
    text = page.read_text(encoding="utf-8")
    if "import torch" in text and not HAS_TORCH:
        pytest.skip("torch is not installed")
    blocks = FENCE.findall(text)
    namespace = {"__name__": "__docs__"}
    for k, (language, code) in enumerate(blocks):
        if language == "bash":
            run_commands(code)
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page.name}, block {k + 1}", "exec"), namespace)
        follows = blocks[k + 1] if k + 1 < len(blocks) else ("", "")
        expected = follows[1] if follows[0] == "text" else ""
        assert without_rounding(printed.getvalue()) == without_rounding(expected)


MODULES = sorted(
    path.relative_to(ROOT).with_suffix("")
    for path in (ROOT / "sparsereg").rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8") and (HAS_TORCH or "nn" not in path.parts)
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: ".".join(path.parts))
def test_examples_of_docstrings_give_what_they_show(path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    parts = path.parts[:-1] if path.name == "__init__" else path.parts
    module = importlib.import_module(".".join(parts))
    found = doctest.testmod(module)
    assert found.attempted
    assert found.failed == 0


def run_commands(block):
    """Run the lines that fit a file, or predict for one, in the present folder."""
    for line in block.splitlines():
        command = re.fullmatch(r"(?:\S*/)?python -m sparsereg ((?:fit|predict) .*)", line)
        if command:
            result = CliRunner().invoke(main, shlex.split(command[1]), catch_exceptions=False)
            assert result.exit_code == 0, result.output


def without_rounding(text):
    """Blank out numbers of rounding size, such as the gap of an exact fit: machines differ."""
    return re.sub(r"\b\d\.\de-(1\d|[2-9]\d)\b", "0", text)


# --- links ---------------------------------------------------------------------------------------

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
LINKED_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md"]


def prose(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """Return the anchors of the headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def source_of(path):
    """Return the file that a page of the built documentation comes from."""
    gallery = ROOT / "docs" / "auto_examples"
    if path.parent == gallery and path.suffix in (".rst", ".html"):
        name = "GALLERY_HEADER.rst" if path.stem == "index" else f"{path.stem}.py"
        return ROOT / "docs" / "examples" / name
    return path


@pytest.mark.parametrize("page", LINKED_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(prose(page)):
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        target = source_of((page.parent / path).resolve()) if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", LINKED_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pictures_come_from_an_example(page):
    for name in re.findall(r"sphx_glr_(plot_\w+?)_\d{3}\.png", page.read_text(encoding="utf-8")):
        assert ROOT / "docs" / "examples" / f"{name}.py" in EXAMPLES, name


@pytest.fixture
def decision_figure():
    path = ROOT / "docs" / "which_estimator.py"
    spec = importlib.util.spec_from_file_location("which_estimator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_decision_figure_is_what_its_script_draws(decision_figure, theme):
    drawn = decision_figure.picture(getattr(decision_figure, theme.upper()))
    stored = decision_figure.FOLDER / f"which_estimator_{theme}.svg"
    assert stored.read_text(encoding="utf-8") == drawn, "run: python docs/which_estimator.py"


def test_decision_figure_names_what_there_is(decision_figure):
    questions = decision_figure.OTHER_PROBLEMS + decision_figure.ONE_LINEAR_MODEL
    names = [name for q in questions for name in re.findall(r"[\w.]+", q.names)]
    assert len(names) >= len(questions)
    for name in names:
        *folder, last = name.split(".")
        module = ".".join(["sparsereg", *folder])
        if module in PUBLIC_MODULES:
            assert last in importlib.import_module(module).__all__


def test_every_guide_page_is_in_the_contents():
    contents = (ROOT / "docs" / "guide" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs" / "guide").glob("*.md"):
        assert page.stem == "index" or f"\n{page.stem}\n" in contents
