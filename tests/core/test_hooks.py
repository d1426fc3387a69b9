from __future__ import annotations

from pathlib import Path

import pytest

from modules.core.errors import Interrupted, NotFound
from modules.core.hooks import HOOKS, Hooks


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_hook_reaches_its_callbacks_in_order(hook) -> None:
    hooks, seen = Hooks(), []
    hooks.add(hook.name, lambda *args: seen.append(("first", args)), "one")
    hooks.add(hook.name, lambda *args: seen.append(("second", args)), "two")
    args = tuple(range(len(hook.arguments)))
    assert hooks.call(hook.name, *args) == []
    assert seen == [("first", args), ("second", args)]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_hook_is_documented(hook) -> None:
    page = (Path(__file__).parents[2] / "docs/extensions.md").read_text(encoding="utf-8")
    assert f"`{hook.name}({', '.join(hook.arguments)})`" in page


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_hook_is_called_somewhere(hook) -> None:
    root = Path(__file__).parents[2]
    sources = [*root.glob("modules/*/**/*.py"), root / "webui.py"]
    calls = [p for p in sources if p.name != "hooks.py" and f'"{hook.name}"' in p.read_text()]
    assert calls, f"nothing calls {hook.name}"


def test_callback_that_fails_becomes_a_warning_naming_its_owner() -> None:
    hooks, seen = Hooks(), []

    def broken(p: object) -> None:
        raise ValueError("no such thing")

    hooks.add("process", broken, "my-extension")
    hooks.add("process", seen.append, "other")
    assert hooks.call("process", 1) == ["my-extension: process failed: ValueError: no such thing"]
    assert seen == [1]


def test_owners_are_told_one_after_the_other() -> None:
    hooks, seen = Hooks(), []
    hooks.add("process", lambda p: seen.append("called one"), "one")
    hooks.add("process", lambda p: seen.append("called two"), "two")
    hooks.call("process", 1, after=seen.append)
    assert seen == ["called one", "one", "called two", "two"]


def test_interruption_passes_through() -> None:
    hooks = Hooks()

    def stop(p: object) -> None:
        raise Interrupted("stop")

    hooks.add("process", stop, "x")
    with pytest.raises(Interrupted):
        hooks.call("process", 1)


def test_unknown_hook_is_refused_by_name() -> None:
    with pytest.raises(NotFound, match="proces.*did you mean 'process'"):
        Hooks().add("proces", print, "x")


def test_removed_owner_is_not_called_any_more() -> None:
    hooks, seen = Hooks(), []
    hooks.add("process", seen.append, "gone")
    hooks.remove_owner("gone")
    hooks.call("process", 1)
    assert not seen
    assert not hooks.used("process")
