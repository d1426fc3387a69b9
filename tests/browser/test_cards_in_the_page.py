"""Cards of extra networks: found, scrolled, put into the prompt, described; and the Models tab."""

from __future__ import annotations

from typing import Any

import pytest

from tests.downloads.hub_site import PIPELINE

PANE = "#txt2img_lora_cards"
FACE = f"{PANE} .easel-card-face"

TOGGLES = (
    # text, what a click adds, result
    ("", "<lora:a:1>", "<lora:a:1>"),
    ("a fox", "<lora:a:1>", "a fox <lora:a:1>"),
    ("a fox <lora:a:1>", "<lora:a:1>", "a fox"),
    ("a fox <lora:a:0.35>, red", "<lora:a:1>", "a fox, red"),
    ("<lora:a:0.5:te=1> a fox", "<lora:a:1>", "a fox"),
    ("a <lora:ab:1> b", "<lora:a:1>", "a <lora:ab:1> b <lora:a:1>"),
    ("x <lora:a:0.8> sumi, ink, y", "<lora:a:1> sumi, ink", "x, y"),
    ("x <lora:a:0.8>, y", "<lora:a:1> sumi", "x, y"),
    ("x <lora:a.b+(c):1>", "<lora:a.b+(c):1>", "x"),
    ("a bad, foxbad", "bad", "a, foxbad"),
    ("bad, worse", "bad", "worse"),
    ("(bad:1.2), worse", "bad", "worse"),
    ("foxbad", "bad", "foxbad bad"),
    ("a\n<lora:a:1>\nb", "<lora:a:1>", "a\nb"),
)


@pytest.mark.parametrize(("text", "adds", "wanted"), TOGGLES)
def test_card_toggles_in_the_prompt(shared_visitor: Any, text: str, adds: str, wanted: str) -> None:
    made = shared_visitor.page.evaluate(
        "([text, prompt]) => easel.cardText.toggled(text, { prompt }, ' ')", [text, adds]
    )
    assert made == wanted


def open_cards(visitor: Any) -> None:
    visitor.page.get_by_role("tab", name="Lora").click()
    visitor.page.locator(FACE).first.wait_for()


def search(visitor: Any, words: str, first: str) -> None:
    visitor.page.fill(f"{PANE} input[type=search]", words)
    visitor.page.wait_for_function(
        "([face, first]) => document.querySelector(face)?.textContent.includes(first)",
        arg=[FACE, first],
    )


def test_click_puts_the_tag_into_the_prompt_and_takes_it_out(visitor: Any) -> None:
    visitor.write("txt2img_prompt", "a fox")
    open_cards(visitor)
    search(visitor, "t15lora", "t15lora")
    visitor.page.click(FACE)
    assert visitor.value("txt2img_prompt") == "a fox <lora:t15lora:1>"
    visitor.page.wait_for_selector(f"{PANE} .easel-card.is-used")
    visitor.wait_for_text("txt2img_token_counter", "2/75")  # the page's own fields heard of it
    visitor.reload()
    visitor.page.wait_for_function("easel.input('txt2img_prompt').value.includes('lora')")
    open_cards(visitor)
    search(visitor, "t15lora", "t15lora")
    visitor.page.click(FACE)
    assert visitor.value("txt2img_prompt") == "a fox"


def test_thousands_of_cards_scroll_with_few_in_the_page(visitor: Any) -> None:
    open_cards(visitor)
    visitor.page.locator(f"{PANE} .easel-card-count").filter(has_text="2,004 files").wait_for()
    scroller = visitor.page.locator(f"{PANE} .easel-card-scroll")
    scroller.evaluate("box => box.scrollTop = box.scrollHeight")
    visitor.page.locator(FACE).filter(has_text="t15lora").wait_for()
    assert visitor.page.locator(f"{PANE} .easel-card").count() < 60
    scroller.evaluate("box => box.scrollTop = box.scrollHeight / 2")
    visitor.page.wait_for_function(
        f"""(() => {{
          const names = [...document.querySelectorAll('{FACE} b')].map((b) => b.textContent);
          return names.length > 8 && names.every((name) => name.startsWith('many'))
            && Number(names[0].slice(4)) > 1900;
        }})()"""
    )
    names = visitor.page.locator(f"{FACE} b").all_inner_texts()
    numbers = [int(name.removeprefix("many")) for name in names]
    assert numbers == sorted(numbers, key=lambda number: (number % 2, number))
    assert 1900 < numbers[0] < 2000


def test_cards_stay_as_they_were_while_another_tab_is_open(visitor: Any) -> None:
    open_cards(visitor)
    search(visitor, "many19", "many19")
    visitor.page.get_by_role("tab", name="Generation").click()
    visitor.write("txt2img_steps", "7")
    visitor.page.get_by_role("tab", name="Lora").click()
    visitor.page.locator(FACE).filter(has_text="many19").first.wait_for()
    assert visitor.page.input_value(f"{PANE} input[type=search]") == "many19"


def test_folder_and_order(visitor: Any) -> None:
    open_cards(visitor)
    visitor.page.locator(f"{PANE} nav button").filter(has_text="odd (1000)").click()
    visitor.page.locator(FACE).filter(has_text="many1").first.wait_for()
    visitor.page.select_option(f"{PANE} select", "Name")
    visitor.page.get_by_label("Ascending").click()
    visitor.page.locator(FACE).filter(has_text="many1999").wait_for()
    visitor.reload()
    open_cards(visitor)
    visitor.page.locator(FACE).filter(has_text="t15loha").first.wait_for()  # still by name, down
    assert visitor.page.input_value(f"{PANE} select") == "Name"


def test_tree_of_folders_works_by_keys_and_is_remembered(visitor: Any) -> None:
    open_cards(visitor)
    visitor.page.click(f"{PANE} >> text=Tree")
    items = visitor.page.locator(f"{PANE} [role=treeitem]")
    assert [text.split() for text in items.all_inner_texts()] == [
        ["All"],
        ["even", "1000"],
        ["odd", "1000"],
    ]
    assert not visitor.page.is_visible(f"{PANE} nav")
    items.first.focus()
    visitor.page.keyboard.press("End")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator(f"{PANE} .easel-card-count").filter(
        has_text="1,000 files in odd"
    ).wait_for()
    assert visitor.page.evaluate("document.activeElement.dataset.path") == "odd"
    assert items.nth(2).get_attribute("aria-selected") == "true"
    visitor.reload()
    open_cards(visitor)
    items.first.wait_for()


def test_cards_work_by_keys_alone(visitor: Any) -> None:
    open_cards(visitor)
    visitor.page.locator(f"{PANE} nav button").last.focus()
    visitor.page.keyboard.press("Tab")
    shown = (
        "document.activeElement.matches('.easel-card-face') && document.activeElement.textContent"
    )
    assert visitor.page.evaluate(shown).endswith("many0")
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.page.evaluate(shown).endswith("many2")
    visitor.page.keyboard.press("Enter")
    assert visitor.value("txt2img_prompt") == "<lora:many2:1>"
    visitor.page.keyboard.press("Enter")
    assert visitor.value("txt2img_prompt") == ""
    visitor.page.keyboard.press("End")
    visitor.page.wait_for_function(
        "document.activeElement.matches('.easel-card-face') &&"
        "document.activeElement.textContent.includes('t15lora')"
    )
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#easel_card_dialog.is-open .easel-card-save")
    visitor.page.keyboard.press("Escape")
    visitor.page.wait_for_selector("#easel_card_dialog.is-open", state="detached")
    assert visitor.page.evaluate("document.activeElement.ariaLabel") == "About t15lora"


def test_notes_and_picture_of_a_card(visitor: Any) -> None:
    visitor.ask("for the card")
    visitor.generate()
    visitor.wait_for_picture("for the card")
    open_cards(visitor)
    search(visitor, "odd/many77.", "many77")
    visitor.page.hover(f"{PANE} .easel-card >> nth=0")
    visitor.page.click(f"{PANE} .easel-card-more >> nth=0")
    dialog = visitor.page.locator("#easel_card_dialog")
    dialog.locator("[name='activation text']").fill("sumi ink")
    dialog.locator("[name='negative text']").fill("photo")
    dialog.locator("[name='preferred weight']").fill("0.6")
    assert "Rank" in dialog.inner_text()
    dialog.locator(".easel-card-save").click()
    dialog.locator("[role=status]").filter(has_text="Saved.").wait_for()
    dialog.get_by_text("Use the shown picture").click()
    dialog.locator(".easel-card-picture img").wait_for()
    visitor.page.keyboard.press("Escape")
    visitor.page.locator(f"{FACE} img").first.wait_for()
    visitor.write("txt2img_prompt", "x")
    visitor.page.locator(FACE).first.click()
    assert visitor.value("txt2img_prompt") == "x <lora:many77:0.6> sumi ink"
    assert visitor.value("txt2img_neg_prompt") == "photo"
    visitor.page.locator(FACE).first.click()
    assert (visitor.value("txt2img_prompt"), visitor.value("txt2img_neg_prompt")) == ("x", "")


def test_embedding_goes_where_the_cursor_was(visitor: Any) -> None:
    visitor.page.get_by_role("tab", name="Textual Inversion").click()
    face = visitor.page.locator("#txt2img_textual_inversion_cards .easel-card-face")
    face.first.wait_for()
    visitor.page.focus("#txt2img_neg_prompt textarea")
    face.filter(has_text="t15embst").click()
    assert visitor.value("txt2img_neg_prompt") == "t15embst"
    visitor.page.focus("#txt2img_prompt textarea")
    face.filter(has_text="t15embst").click()
    assert visitor.value("txt2img_prompt") == "t15embst"


def test_checkpoint_card_chooses_the_checkpoint(visitor: Any) -> None:
    visitor.page.get_by_role("tab", name="Checkpoints").click()
    cards = "#txt2img_checkpoints_cards .easel-card"
    visitor.page.locator(f"{cards} .easel-card-face").filter(has_text="tiny15").click()
    visitor.page.wait_for_selector(f"{cards}.is-used")
    assert visitor.value("setting_sd_model_checkpoint").startswith("tiny15.safetensors")


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_cards_fit_the_screen_and_have_names(open_page: Any, size: tuple[int, int]) -> None:
    visitor = open_page(size=size, has_touch=size[0] < 900)
    open_cards(visitor)
    assert visitor.page.evaluate("document.scrollingElement.scrollWidth") <= size[0]
    nameless = visitor.page.evaluate(
        f"""() => [...document.querySelectorAll("{PANE} :is(button, input, select)")]
        .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.title || e.labels?.length))
        .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    if size[0] < 900:
        small = visitor.page.evaluate(
            f"""() => [...document.querySelectorAll("{PANE} :is(button, input, select)")]
            .filter((e) => e.getBoundingClientRect().height < 40).map((e) => e.outerHTML)"""
        )
        assert small == []


def test_models_tab_shows_the_terms_first_and_says_why_it_failed(visitor: Any) -> None:
    visitor.page.get_by_role("tab", name="Models").click()
    tab = visitor.page.locator("#easel_models")
    tab.get_by_role("button", name="Get SDXL-Turbo").click()
    terms = tab.locator(".easel-models-terms")
    terms.filter(has_text="Stability AI Community License").wait_for()
    assert tab.locator(".easel-models-list li").count() == 0
    terms.get_by_role("button", name="Accept the licence and download 6.94 GB").click()
    failed = tab.locator(".easel-models-list li.is-failed")
    failed.filter(has_text="sd_xl_turbo_1.0_fp16.safetensors").wait_for()
    assert "it has no such file (HTTP 404)" in failed.inner_text()
    failed.get_by_role("button", name="Throw away").click()
    failed.wait_for(state="detached")
    tab.get_by_label("https address").fill("https://127.0.0.1/a.safetensors")
    visitor.page.keyboard.press("Enter")
    tab.locator(".is-error").filter(has_text="local networks").wait_for()


def test_models_tab_offers_a_folder_with_its_variants(visitor: Any) -> None:
    visitor.page.get_by_role("tab", name="Models").click()
    tab = visitor.page.locator("#easel_models")
    tab.get_by_label("https address").fill(PIPELINE)
    visitor.page.keyboard.press("Enter")
    terms = tab.locator(".easel-models-terms")
    terms.filter(has_text="All checksums are known").wait_for()
    names = terms.locator("option").all_inner_texts()
    assert names == ["diffusers · 10 files · 0.3 MB", "diffusers.fp16 · 10 files · 0.2 MB"]
    go = terms.locator(".easel-models-go")
    assert go.inner_text().endswith("download 0.3 MB")
    terms.get_by_label("File").select_option("diffusers.fp16")
    assert go.inner_text().endswith("download 0.2 MB")
