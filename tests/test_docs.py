"""The documentation is complete, and its code does what the page says."""

import contextlib
import importlib
import importlib.util
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PUBLIC_MODULES = [
    "sparsereg",
    "sparsereg.backends",
    "sparsereg.exceptions",
    "sparsereg.losses",
    "sparsereg.model_selection",
    "sparsereg.penalties",
]
HAS_TORCH = importlib.util.find_spec("torch") is not None
if HAS_TORCH:
    PUBLIC_MODULES += ["sparsereg.nn", "sparsereg.nn.metrics"]


def public_names():
    for module in PUBLIC_MODULES:
        for name in importlib.import_module(module).__all__:
            yield pytest.param(module, name, id=f"{module}.{name}")


def reference_sections():
    """Text of the API reference, by the module that each part of it documents."""
    text = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    parts = re.split(r"^\.\. currentmodule:: (\S+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.mark.parametrize(("module", "name"), list(public_names()))
def test_public_name_is_in_the_api_reference(module, name):
    assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reference_sections()[module])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_print_what_the_page_shows(page):
    text = page.read_text(encoding="utf-8")
    if "import torch" in text and not HAS_TORCH:
        pytest.skip("torch is not installed")
    blocks = FENCE.findall(text)
    namespace = {"__name__": "__docs__"}
    for k, (language, code) in enumerate(blocks):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page.name}, block {k + 1}", "exec"), namespace)
        follows = blocks[k + 1] if k + 1 < len(blocks) else ("", "")
        expected = follows[1] if follows[0] == "text" else ""
        assert printed.getvalue() == expected
