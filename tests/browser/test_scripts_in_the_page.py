"""The scripts' fields: kept over a reload, and filled from a grid's infotext."""

from __future__ import annotations

from typing import Any

import pytest

PLOT = "script_txt2img_xyz_plot"
INFOTEXT = (
    "a tin fox\nSteps: 2, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x64, "
    'Script: X/Y/Z plot, X Type: Seed, X Values: "-1, 5", Fixed X Values: "77, 5", '
    'Y Type: Sampler, Y Values: "Euler, Heun", Version: v1.10.1'
)


def choose(visitor: Any, element: str, name: str) -> None:
    visitor.page.locator(f"#{element} input").first.click()
    visitor.page.get_by_role("option", name=name, exact=True).click()


def wait_for_value(visitor: Any, element: str, value: str) -> None:
    visitor.page.wait_for_function(
        "([id, value]) => easel.input(id)?.value === value", arg=[element, value]
    )


def wait_until_kept(visitor: Any, *words: str) -> None:
    """Until the browser has written down what a reload brings back."""
    visitor.page.wait_for_function(
        "(words) => words.every((word) => localStorage['easel.scripts.txt2img']?.includes(word))",
        arg=list(words),
    )


def tokens(visitor: Any, element: str) -> list[str]:
    visitor.page.locator(f"#{element} .token").first.wait_for()
    return visitor.page.locator(f"#{element} .token").all_inner_texts()


def test_script_and_its_fields_survive_a_reload(visitor: Any) -> None:
    page = visitor.page
    choose(visitor, "script_list", "X/Y/Z plot")
    page.locator(f"#{PLOT}_x_values").wait_for()
    visitor.write(f"{PLOT}_x_values", "1-3")
    choose(visitor, f"{PLOT}_y_type", "Sampler")
    menu = page.locator(f"#{PLOT}_y_values_dropdown input")
    menu.wait_for()
    menu.click()
    page.get_by_role("option", name="Heun", exact=True).click()
    page.keyboard.press("Escape")
    page.locator(f"#{PLOT}_include_sub_grids input").check()
    wait_until_kept(visitor, '"Heun"', "Include Sub Grids")
    visitor.reload()
    page.locator(f"#{PLOT}_x_values").wait_for()
    wait_for_value(visitor, "script_list", "X/Y/Z plot")
    wait_for_value(visitor, f"{PLOT}_x_values", "1-3")
    wait_for_value(visitor, f"{PLOT}_y_type", "Sampler")
    assert tokens(visitor, f"{PLOT}_y_values_dropdown") == ["Heun"]
    assert page.locator(f"#{PLOT}_include_sub_grids input").is_checked()
    assert not page.locator(f"#{PLOT}_y_values").is_visible()


@pytest.mark.parametrize("is_open", [False, True])
def test_infotext_of_a_plot_chooses_the_script_and_fills_its_fields(
    visitor: Any, is_open: bool
) -> None:
    if is_open:
        choose(visitor, "script_list", "X/Y/Z plot")
        visitor.page.locator(f"#{PLOT}_z_values").wait_for()
        visitor.write(f"{PLOT}_z_values", "kept")
    visitor.write("txt2img_prompt", INFOTEXT)
    visitor.page.click("#paste")
    wait_for_value(visitor, "txt2img_prompt", "a tin fox")
    wait_for_value(visitor, "script_list", "X/Y/Z plot")
    wait_for_value(visitor, f"{PLOT}_x_type", "Seed")
    wait_for_value(visitor, f"{PLOT}_x_values", "77, 5")
    wait_for_value(visitor, f"{PLOT}_y_type", "Sampler")
    assert tokens(visitor, f"{PLOT}_y_values_dropdown") == ["Euler", "Heun"]
    wait_for_value(visitor, f"{PLOT}_z_type", "Nothing")
    if is_open:
        assert visitor.value(f"{PLOT}_z_values") == "kept"
    wait_until_kept(visitor, "77, 5", '["Euler","Heun"]')
    visitor.reload()
    wait_for_value(visitor, f"{PLOT}_x_values", "77, 5")
    assert tokens(visitor, f"{PLOT}_y_values_dropdown") == ["Euler", "Heun"]


def test_script_of_a_tab_that_is_opened_later_survives_a_reload(visitor: Any) -> None:
    page = visitor.page
    loops = "script_loopback_loops"
    page.click("#tab_img2img-button")
    choose(visitor, "img2img_settings #script_list", "Loopback")
    page.locator(f"#{loops}").wait_for()
    visitor.write(loops, "7")
    page.wait_for_function("() => localStorage['easel.scripts.img2img']?.includes('Loops\":7')")
    visitor.reload()
    page.click("#tab_txt2img-button")
    assert not page.locator(f"#{loops}").is_visible()
    page.click("#tab_img2img-button")
    wait_for_value(visitor, loops, "7")
