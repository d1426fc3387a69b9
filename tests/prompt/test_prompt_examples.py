"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("attention", "chunks", "comments", "compose", "count", "networks", "schedule")


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"modules.prompt.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
