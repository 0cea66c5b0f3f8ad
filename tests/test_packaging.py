"""What pyproject.toml promises is what the tree holds and what is installed."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib import metadata, resources
from pathlib import Path

import pytest

from sparsereg.backends.registry import list_backends

ROOT = Path(__file__).parents[1]
PYPROJECT = ROOT / "pyproject.toml"
needs_source_tree = pytest.mark.skipif(
    not (PYPROJECT.exists() and (ROOT / "sparsereg").is_dir()),
    reason="the source tree is not here",
)
# where the name to import is not the name to install
DISTRIBUTIONS = {"sklearn": "scikit-learn", "dp_accounting": "dp-accounting"}
# what pins our dependencies to old versions is measured in an environment of its own
OWN_ENVIRONMENT = {"adelie"}


def pyproject():
    return tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))


def folders():
    """Return {package: folder} of the source tree, the mapped folders included."""
    found = {}
    for package, folder in pyproject()["tool"]["setuptools"]["package-dir"].items():
        base = ROOT / folder
        for file in base.rglob("*.py"):
            inside = file.parent.relative_to(base).parts
            found[".".join([package, *inside])] = file.parent
    return found


def imported_by(file):
    """Return the top-level modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def required(requirements):
    return {re.match(r"[\w-]+", requirement).group() for requirement in requirements}


@needs_source_tree
def test_every_folder_of_code_is_a_listed_package():
    assert sorted(folders()) == pyproject()["tool"]["setuptools"]["packages"]


@needs_source_tree
def test_every_folder_of_code_has_an_init():
    assert [name for name, at in folders().items() if not (at / "__init__.py").exists()] == []


@needs_source_tree
def test_every_file_that_is_not_python_is_shipped():
    data = pyproject()["tool"]["setuptools"].get("package-data", {})
    forgotten = [
        f"{package}: {file.name}"
        for package, folder in folders().items()
        for file in folder.iterdir()
        if file.is_file() and file.suffix not in {".py", ".pyc"}
        if not any(fnmatch(file.name, pattern) for pattern in data.get(package, []))
    ]
    assert forgotten == []


@needs_source_tree
def test_every_kernel_is_shipped():
    patterns = pyproject()["tool"]["setuptools"]["package-data"]["sparsereg.gpu"]
    files = [f"kernels/{file.name}" for file in (ROOT / "gpu" / "kernels").iterdir()]
    assert files
    assert all(any(fnmatch(file, pattern) for pattern in patterns) for file in files)


@needs_source_tree
def test_every_import_is_a_declared_dependency():
    project = pyproject()["project"]
    declared = required(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        declared |= required(extra)
    declared |= OWN_ENVIRONMENT
    declared |= (
        {"cupy", "cupyx"} if any(name.startswith("cupy-cuda") for name in declared) else set()
    )
    ours = sys.stdlib_module_names | {"sparsereg"}
    undeclared = {
        f"{package} imports {name}"
        for package, folder in folders().items()
        for file in folder.glob("*.py")
        for name in imported_by(file) - ours
        if DISTRIBUTIONS.get(name, name) not in declared
    }
    assert undeclared == set()


@needs_source_tree
def test_installed_version_is_that_of_the_tree():
    assert metadata.version("scikit-sparsereg") == pyproject()["project"]["version"]


def test_type_information_is_shipped():
    assert (resources.files("sparsereg") / "py.typed").is_file()


@pytest.mark.parametrize("name", ["numba", "cupy"])
def test_backend_entry_point_resolves(name):
    (point,) = metadata.entry_points(group="sparsereg.backends", name=name)
    backend = point.load()
    assert backend.name == name
    available, why = backend.available()
    assert available or why


def test_every_built_in_backend_is_an_entry_point():
    points = {point.name for point in metadata.entry_points(group="sparsereg.backends")}
    assert {name for name, _, _ in list_backends()} == points


@pytest.mark.parametrize("module", ["sparsereg.gpu", "sparsereg.benchmarks", "sparsereg.commands"])
def test_mapped_package_is_importable(module):
    assert importlib.import_module(module).__doc__


def test_gpu_package_needs_no_cupy():
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "from sparsereg.gpu import backend\n"
        "available, why = backend.available()\n"
        "assert not available\n"
        "assert why, 'no reason'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
