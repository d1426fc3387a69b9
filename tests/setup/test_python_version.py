"""The Python check, which must run on Pythons that are too old."""

import ast
from pathlib import Path

import pytest

import modules.setup.python_version as module
from modules.setup.python_version import caution, refusal


@pytest.mark.parametrize("version", [(3, 8), (3, 9), (3, 10), (2, 7)])
def test_old_python_is_refused_with_both_versions(version: tuple[int, int]) -> None:
    message = refusal(version, "/usr/bin/python")
    assert message is not None
    assert f"needs Python 3.11 or newer; this is {version[0]}.{version[1]} " in message
    assert "/usr/bin/python" in message


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14), (4, 0)])
def test_new_python_is_let_in(version: tuple[int, int]) -> None:
    assert refusal(version, "python") is None


def test_newer_than_tried_is_a_caution() -> None:
    assert [caution((3, minor)) is None for minor in (11, 12, 13, 14)] == [True] * 3 + [False]
    assert "3.14 was never tried" in str(caution((3, 14)))


def test_files_on_the_way_to_the_message_have_old_syntax() -> None:
    file = Path(module.__file__)
    for path in (file, file.parent / "__init__.py", file.parents[1] / "__init__.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
