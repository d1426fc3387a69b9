"""The rules that keep the folders apart: layers, faces, cycles, what importing may do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "modules"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("setup",),
    ("core",),
    ("params", "prompt", "images"),
    ("sampling", "postprocess", "interrogate"),
    ("pipelines",),
    ("model_manager",),
    ("processing",),
    ("jobs", "library", "downloads", "cards"),
    ("extensions", "batch"),
    ("api", "ui"),
    ("command",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

ONLY_IN = {
    "torch": {
        *("sampling", "postprocess", "interrogate", "pipelines", "model_manager", "processing"),
    },
    "diffusers": {"pipelines", "model_manager"},
    "gradio": {"ui"},
    "fastapi": {"api", "ui"},
    "ray": {"jobs"},
}

FOLDER_FILES = sorted(MODULES.glob("*/**/*.py"))
FACES = [path for path in MODULES.glob("*.py") if path.name != "__init__.py"]


def imports(path: Path) -> set[str]:
    """Dotted names that the file imports anywhere, but for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def folder(path: Path) -> str:
    return path.relative_to(MODULES).parts[0]


def folders_used(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("modules.")}


@pytest.mark.parametrize("path", FOLDER_FILES, ids=lambda p: str(p.relative_to(MODULES)))
def test_file_imports_only_layers_below_its_own(path: Path) -> None:
    own = folder(path)
    for used in folders_used(path) - {own}:
        assert used in RANK, f"modules.{used} is no folder of ours (faces are not for us)"
        assert RANK[used] < RANK[own] or {used, own} <= {"params", "prompt", "images"}, (
            f"{path.name} in {own} imports {used}"
        )


@pytest.mark.parametrize("path", FOLDER_FILES, ids=lambda p: str(p.relative_to(MODULES)))
def test_heavy_packages_stay_in_their_folders(path: Path) -> None:
    packages = {name.split(".")[0] for name in imports(path)}
    for package, allowed in ONLY_IN.items():
        if package in packages:
            assert folder(path) in allowed, f"{path} imports {package}"


def test_setup_uses_the_standard_library_only() -> None:
    import sys

    for path in (MODULES / "setup").glob("*.py"):
        if path.name == "torchvision_compat.py":
            continue  # called inside the environment that it repairs
        for name in imports(path):
            package = name.split(".")[0]
            assert package in sys.stdlib_module_names or name.startswith("modules"), (path, name)


@pytest.mark.parametrize("path", FACES, ids=lambda p: p.name)
def test_face_is_short_and_holds_no_logic(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert len(source.splitlines()) <= 80
    assert (ast.get_docstring(tree) or "").startswith("A1111 face of ")
    for node in tree.body:
        assert isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr | ast.If), (
            path,
            ast.unparse(node)[:60],
        )


def test_no_import_cycles_between_folders() -> None:
    graph: dict[str, set[str]] = {}
    for path in FOLDER_FILES:
        graph.setdefault(folder(path), set()).update(folders_used(path) - {folder(path)})
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"cycle: {' -> '.join((*trail, name))}"
        if name not in done:
            for used in graph.get(name, ()):
                visit(used, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FOLDER_FILES, ids=lambda p: str(p.relative_to(MODULES)))
def test_importing_does_nothing(path: Path) -> None:
    """Module level holds constants, tables, types, functions, classes and a logger."""
    allowed = (
        ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        | ast.Assign | ast.AnnAssign | ast.Expr | ast.If
    )  # fmt: skip
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        assert isinstance(node, allowed), f"{path}:{node.lineno}"
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"{path}:{node.lineno} does something"
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            assert test in {"TYPE_CHECKING", "__name__ == '__main__'"} or "sys." in test, path


@pytest.mark.parametrize("path", FOLDER_FILES, ids=lambda p: str(p.relative_to(MODULES)))
def test_file_is_at_most_400_lines_and_explains_itself(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 400
    if source.strip():
        assert ast.get_docstring(ast.parse(source)), f"{path} has no docstring"
