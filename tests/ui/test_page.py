from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.core.app import App
from modules.ui import build_page, mount_page
from modules.ui.build import TABS, assemble
from modules.ui.events import in_event_loop
from modules.ui.mount import ASSETS, COLOURS, SCRIPTS, STYLESHEETS, output_folders

ROOT = Path(__file__).parents[2]
ELEMENTS = json.loads((ROOT / "tests/data/ui/txt2img_elements.json").read_text(encoding="utf-8"))


@pytest.fixture
def components(app: App) -> dict[str, dict[str, Any]]:
    """The page's components by element id."""
    rows = build_page(app).get_config_file()["components"]
    return {row["props"]["elem_id"]: row for row in rows if row["props"].get("elem_id")}


SEEDS = ("txt2img_seed", "txt2img_subseed")
AS_TEXT = {"type": "textbox", "value": "-1", "step": None}
"""Not numbers as in A1111: a browser's numbers lose the last digits of a 64-bit seed."""


def test_page_has_every_element_of_a1111_with_its_defaults(
    components: dict[str, dict[str, Any]],
) -> None:
    for element in ELEMENTS:
        wanted = {**element, **AS_TEXT} if element["elem_id"] in SEEDS else element
        row = components[wanted["elem_id"]]
        props = row["props"]
        found = {
            "type": row["type"],
            "elem_id": props["elem_id"],
            "label": props.get("label"),
            "value": props.get("value"),
            "min": props.get("minimum"),
            "max": props.get("maximum"),
            "step": props.get("step"),
        }
        assert {key: found[key] for key in wanted} == wanted


def test_element_ids_are_unique(app: App) -> None:
    rows = build_page(app).get_config_file()["components"]
    ids = [row["props"]["elem_id"] for row in rows if row["props"].get("elem_id")]
    ids.remove("script_list")  # one per tab, which extensions rely on (A1111 1.10 behaviour)
    assert sorted(ids) == sorted(set(ids))


def test_no_call_of_the_page_is_public_api(app: App) -> None:
    for call in build_page(app).get_config_file()["dependencies"]:
        assert call["api_visibility"] == "private", call["targets"]


def test_generate_never_waits_in_gradios_queue(app: App) -> None:
    page = build_page(app)
    ids = {block._id: block.elem_id for block in page.blocks.values()}
    calls = page.get_config_file()["dependencies"]
    buttons = ("txt2img_generate", "txt2img_interrupt", "txt2img_skip", "txt2img_load_result")
    for name in buttons:
        (call,) = [c for c in calls if ids.get(c["targets"][0][0]) == name]
        assert call["queue"] is False


def test_scripts_get_a_description_that_is_safe_in_html(app: App) -> None:
    _, config = in_event_loop(lambda: assemble(app))
    assert "<" not in config
    assert {field["name"] for field in json.loads(config)["tabs"]["txt2img"]} >= {"prompt", "seed"}


def test_every_small_tool_has_a_tooltip(app: App, components: dict[str, dict[str, Any]]) -> None:
    tooltips = json.loads(in_event_loop(lambda: assemble(app))[1])["tooltips"]
    keys = (ASSETS / "keys.js").read_text(encoding="utf-8")
    for name, row in components.items():
        if "tool" in (row["props"].get("elem_classes") or []):
            patterns = {re.sub(rf"(^|_){tab}(_|$)", r"\1${name}\2", name) for tab, *_ in TABS}
            assert name in tooltips or any(p in keys for p in patterns) or name in keys, name


def test_mounted_page_is_served_and_asks_nobody_else(app: App) -> None:
    server = mount_page(FastAPI(), app)
    with TestClient(server) as client:
        page = client.get("/")
    assert page.status_code == 200
    assert "window.easel = " in page.text
    for name in (*SCRIPTS, *STYLESHEETS, COLOURS):
        text = (ASSETS / name).read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\s'\"`)]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name


def test_no_font_comes_from_elsewhere(app: App) -> None:
    with TestClient(mount_page(FastAPI(), app)) as client:
        assert "https://" not in client.get("/theme.css").text
        assert client.get("/config").json()["stylesheets"] == []


def test_page_asks_for_login_where_the_flag_wants_it(app: App) -> None:
    flags = replace(app.flags, gradio_auth=(("ana", "secret"),))
    server = mount_page(FastAPI(), replace(app, flags=flags))
    with TestClient(server) as client:
        assert '"auth_required":true' in client.get("/").text.replace(" ", "")
        assert client.post("/login", data={"username": "ana", "password": "no"}).status_code == 400
        assert client.post("/login", data={"username": "ana", "password": "secret"}).is_success
        assert '"auth_required":true' not in client.get("/").text.replace(" ", "")


def test_browser_may_fetch_pictures_but_not_settings(app: App, run_job: Any) -> None:
    picture = run_job(prompt="x").result.paths[0]
    app.settings.update({"jpeg_quality": 90})
    with TestClient(mount_page(FastAPI(), app)) as client:
        assert client.get(f"/gradio_api/file={picture}").status_code == 200
        assert client.get(f"/gradio_api/file={app.paths.settings_file}").status_code == 403


def test_output_folders_follow_the_settings(app: App, tmp_path: Path) -> None:
    app.settings.update({"outdir_txt2img_samples": str(tmp_path / "elsewhere")})
    assert tmp_path / "elsewhere" in output_folders(app)


def test_page_comes_up_without_torch() -> None:
    code = "import sys, modules.ui.mount; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
