"""What the form remembers, how it looks at both widths, and its keys."""

from __future__ import annotations

from typing import Any

import pytest

WEIGHTS = (
    # text with the selection in «», direction, result
    ("a «red» heart", 1, "a (red:1.1) heart"),
    ("a «red» heart", -1, "a (red:0.9) heart"),
    ("a re«»d heart", 1, "a (red:1.1) heart"),
    ("a (r«»ed:1.1) heart", 1, "a (red:1.2) heart"),
    ("a («red»:1.1) heart", -1, "a red heart"),
    ("a «(red:1.1)» heart", -1, "a red heart"),
    ("a («red») heart", 1, "a (red:1.2) heart"),
    ("a «((red))» heart", -1, "a (red:1.11) heart"),
    ("a ((«red»):1.1) heart", 1, "a (red:1.31) heart"),
    ("«a red » heart", 1, "(a red:1.1)  heart"),
    ("<lora:«»ink:0.5> x", 1, "<lora:ink:0.55> x"),
    ("<lora:«»ink> x", -1, "<lora:ink:0.95> x"),
    (r"a \(«b»\) c", 1, r"a \((b:1.1)\) c"),
    ("«a (b:1.3) c»", 1, "(a (b:1.3) c:1.1)"),
    (", «», b", 1, None),
)

MOVES = (
    # text with the cursor at |, direction, result
    ("red, gr|een, blue", 1, "red, blue, green"),
    ("red, gr|een, blue", -1, "green, red, blue"),
    ("|red,green", 1, "green,red"),
    ("red,\ngreen|", -1, "green,\nred"),
    ("re|d, green", -1, None),
    ("red, green|", 1, None),
    ("|", 1, None),
)

BRACKETS = {
    "": "",
    "a (b [c] {d|e})": "",
    r"a \( b": "",
    "a (b": "(",
    "a b)": ")",
    "(a]": "]",
}


@pytest.mark.parametrize(("marked", "direction", "wanted"), WEIGHTS)
def test_weight_of_the_selection(
    shared_visitor: Any, marked: str, direction: int, wanted: str | None
) -> None:
    start = marked.index("«")
    end = marked.index("»") - 1
    text = marked.replace("«", "").replace("»", "")
    edit = shared_visitor.page.evaluate(
        "([text, start, end, direction]) => easel.prompt.weigh(text, start, end, direction)",
        [text, start, end, direction],
    )
    if wanted is None:
        assert edit is None
    else:
        assert text[: edit["from"]] + edit["made"] + text[edit["to"] :] == wanted


@pytest.mark.parametrize(("marked", "direction", "wanted"), MOVES)
def test_part_of_the_prompt_moves(
    shared_visitor: Any, marked: str, direction: int, wanted: str | None
) -> None:
    edit = shared_visitor.page.evaluate(
        "([text, place, direction]) => easel.prompt.move(text, place, direction)",
        [marked.replace("|", ""), marked.index("|"), direction],
    )
    assert (edit["made"] if edit else None) == wanted


@pytest.mark.parametrize(("text", "wanted"), BRACKETS.items())
def test_bracket_without_partner_is_found(shared_visitor: Any, text: str, wanted: str) -> None:
    assert shared_visitor.page.evaluate("text => easel.prompt.unbalanced(text)", text) == wanted


def test_keys_change_the_weight_and_can_be_undone(visitor: Any) -> None:
    box = visitor.page.locator("#txt2img_prompt textarea")
    box.fill("a red heart")
    box.evaluate("box => box.setSelectionRange(2, 5)")
    box.press("Control+ArrowUp")
    box.press("Control+ArrowUp")
    assert box.input_value() == "a (red:1.2) heart"
    box.press("Control+ArrowDown")
    box.press("Control+ArrowDown")
    assert box.input_value() == "a red heart"
    box.press("Control+z")
    assert box.input_value() == "a (red:1.1) heart"


def test_slash_focuses_the_prompt_and_control_enter_generates(visitor: Any) -> None:
    visitor.ask("")
    visitor.page.keyboard.press("/")
    visitor.page.keyboard.type("by keys/only")
    visitor.page.keyboard.press("Control+Enter")
    visitor.wait_for_picture("by keys/only")
    assert visitor.value("txt2img_prompt") == "by keys/only"


def test_what_was_typed_survives_a_reload(visitor: Any) -> None:
    visitor.ask("typed\nin two lines", steps=33, cfg_scale=4)
    visitor.write("txt2img_neg_prompt", "not this")
    visitor.page.click("#txt2img_sampling input")
    visitor.page.get_by_role("option", name="Euler a", exact=True).click()
    visitor.reload()
    visitor.page.wait_for_function("easel.input('txt2img_steps').value === '33'")
    found = {name: visitor.value(f"txt2img_{name}") for name in ("prompt", "neg_prompt")}
    assert found == {"prompt": "typed\nin two lines", "neg_prompt": "not this"}
    assert visitor.value("txt2img_sampling") == "Euler a"
    assert visitor.page.input_value("#txt2img_cfg_scale input[type=number]") == "4"


def test_changed_field_is_marked_and_reset(visitor: Any) -> None:
    steps = visitor.page.locator("#txt2img_steps")
    visitor.write("txt2img_steps", "44")
    visitor.page.wait_for_selector("#txt2img_steps.is-changed")
    steps.get_by_label("Reset to default value").click()
    visitor.page.wait_for_function("easel.input('txt2img_steps').value === '20'")
    visitor.page.wait_for_selector("#txt2img_steps:not(.is-changed)")


def test_counter_counts_tokens_and_turns_red(visitor: Any) -> None:
    visitor.write("txt2img_prompt", "a red heart")
    visitor.wait_for_text("txt2img_token_counter", "3/75")
    visitor.write("txt2img_prompt", "a (red heart")
    visitor.page.wait_for_selector("#txt2img_token_counter.is-wrong")
    visitor.write("txt2img_neg_prompt", "no")
    visitor.wait_for_text("txt2img_negative_token_counter", "1/75")


def test_hires_title_says_what_it_will_do(visitor: Any) -> None:
    visitor.ask("", width=512, height=768)
    title = visitor.page.locator("#txt2img_hr .label-wrap")
    assert title.inner_text().startswith("Hires. fix: off")
    visitor.page.check("#txt2img_hr-checkbox input")
    title.filter(has_text="Hires. fix: 512×768 → 1024×1536, Latent, 0.7").wait_for()
    assert visitor.page.is_visible("#txt2img_hr_upscaler")


def test_swap_exchanges_width_and_height(visitor: Any) -> None:
    visitor.ask("", width=64, height=128)
    visitor.page.click("#txt2img_res_switch_btn")
    visitor.page.wait_for_function("easel.input('txt2img_width').value === '128'")
    assert visitor.page.input_value("#txt2img_height input[type=number]") == "64"


def test_parameters_of_a_picture_fill_the_form(visitor: Any) -> None:
    visitor.write(
        "txt2img_prompt",
        "pasted\nNegative prompt: no\nSteps: 7, Sampler: Euler, CFG scale: 3, Seed: 9, "
        "Size: 64x72, Clip skip: 2",
    )
    visitor.page.click("#paste")
    visitor.page.wait_for_function("easel.input('txt2img_seed').value === '9'")
    assert visitor.value("txt2img_prompt") == "pasted"
    assert visitor.page.input_value("#txt2img_height input[type=number]") == "72"
    assert "Clip skip: 2" in visitor.page.inner_text("#txt2img_override_settings")


def test_style_is_saved_chosen_and_applied(visitor: Any) -> None:
    visitor.write("txt2img_prompt", "a fox")
    visitor.page.click("#txt2img_styles_edit_button")
    visitor.page.fill("#txt2img_styles_edit_select input", "Ink")
    visitor.page.keyboard.press("Tab")
    visitor.write("txt2img_edit_style_prompt", "ink drawing of {prompt}")
    visitor.page.click("#txt2img_edit_style_save")
    visitor.page.locator(".toast-wrap").filter(has_text="“Ink” is saved").wait_for()
    visitor.page.click("#txt2img_edit_style_close")
    visitor.page.click("#txt2img_styles input")
    visitor.page.get_by_role("option", name="Ink").click()
    visitor.page.keyboard.press("Escape")
    visitor.page.click("#txt2img_style_apply")
    visitor.page.wait_for_function("easel.input('txt2img_prompt').value === 'ink drawing of a fox'")


def test_theme_is_toggled_and_remembered(open_page: Any) -> None:
    visitor = open_page(color_scheme="light")
    is_dark = "document.body.classList.contains('dark')"
    assert visitor.page.evaluate(is_dark) is False
    visitor.page.click("#easel_theme_button")
    assert visitor.page.evaluate(is_dark) is True
    visitor.reload()
    assert visitor.page.evaluate(is_dark) is True


def test_dark_system_gets_a_dark_page(open_page: Any) -> None:
    visitor = open_page(color_scheme="dark")
    assert visitor.page.evaluate("document.body.classList.contains('dark')") is True


def test_desktop_shows_form_and_picture_side_by_side_without_scrolling(visitor: Any) -> None:
    size = visitor.page.evaluate(
        "[document.scrollingElement.scrollWidth, document.scrollingElement.scrollHeight]"
    )
    assert size == [1440, 900]
    form = visitor.page.locator("#txt2img_settings").bounding_box()
    picture = visitor.page.locator("#txt2img_gallery_container").bounding_box()
    assert form["x"] + form["width"] <= picture["x"]
    assert form["y"] + form["height"] <= 900


def test_phone_has_one_column_that_never_scrolls_sideways(open_page: Any) -> None:
    visitor = open_page(size=(390, 844), has_touch=True)
    visitor.page.check("#txt2img_hr-checkbox input")
    visitor.page.click("#txt2img_seed_extras .label-wrap")
    assert visitor.page.evaluate("document.scrollingElement.scrollWidth") <= 390
    order = [
        visitor.page.locator(f"#{element}").bounding_box()["y"]
        for element in ("txt2img_prompt", "txt2img_gallery_container", "txt2img_settings")
    ]
    assert order == sorted(order)


@pytest.mark.parametrize("tab", ["img2img", "inpaint"])
def test_phone_shows_the_picture_field_before_the_result(open_page: Any, tab: str) -> None:
    visitor = open_page(size=(390, 844), has_touch=True)
    visitor.page.click(f"#tab_{tab}-button")
    parts = ("prompt", "gallery_container", "denoising_strength")
    visitor.page.locator(f"#{tab}_prompt").wait_for()
    visitor.page.wait_for_timeout(500)
    assert visitor.page.evaluate("document.scrollingElement.scrollWidth") <= 390
    field = visitor.page.locator(f"#mode_{tab}").bounding_box()
    assert field["height"] > 300 and field["width"] <= 390
    prompt, gallery, control = (
        visitor.page.locator(f"#{tab}_{part}").bounding_box()["y"] for part in parts
    )
    assert prompt < field["y"] < gallery < control
    for row in (f"#{tab}_extra_tabs > .tab-wrapper", f"#mode_{tab} > .tab-wrapper"):
        box = visitor.page.locator(row).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390


@pytest.mark.parametrize("tab", ["txt2img", "img2img", "inpaint"])
def test_phone_keeps_generate_in_reach_and_targets_large(open_page: Any, tab: str) -> None:
    visitor = open_page(size=(390, 844), has_touch=True)
    visitor.page.click(f"#tab_{tab}-button")
    visitor.page.locator(f"#{tab}_prompt").wait_for()
    visitor.page.mouse.wheel(0, 600)
    button = visitor.page.locator(f"#{tab}_generate").bounding_box()
    assert button["y"] >= 0 and button["y"] + button["height"] <= 844
    small = visitor.page.evaluate(
        """() => [...document.querySelectorAll("button, .wrap-inner, input[type=number]")]
        .filter((e) => e.checkVisibility() && !e.closest("[aria-hidden=true]"))
        .map((e) => [e.id || e.className, e.getBoundingClientRect()])
        .filter(([, box]) => box.width > 0 && box.height < 40)
        .map(([name, box]) => `${name}: ${box.height}`)"""
    )
    assert small == []


def test_every_control_has_a_name_for_screen_readers(visitor: Any) -> None:
    nameless = visitor.page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea")]
        .filter((e) => e.checkVisibility())
        .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.title || e.labels?.length))
        .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
