// Keys and wheel of the picture fields: brush, zoom, move, full window, the view, the overlay.
// They hold only while the pointer or the focus is on a field, and never while somebody types.
"use strict";

easel.canvasKeys = (() => {
  const MODIFIERS = { Alt: "altKey", Ctrl: "ctrlKey", Shift: "shiftKey" };
  const TYPING = "textarea, input:not([type=range], [type=checkbox], [type=radio]), [contenteditable]";
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const setting = (name) => easel.settings[`canvas_hotkey_${name}`] ?? "";
  const isEditor = (field) => field.classList.contains("easel-editor");
  const press = (field, name) => field.querySelector(`button[aria-label="${name}"]`)?.click();

  // --- which field ------------------------------------------------------------------------------

  let under = null;
  document.addEventListener("pointerover", (event) => (under = event.target.closest?.(".easel-canvas") ?? null));
  document.documentElement.addEventListener("pointerleave", () => (under = null));
  const aimed = () => {
    const field = document.activeElement?.closest?.(".easel-canvas") ?? under;
    return field?.offsetParent || field?.querySelector("canvas")?.offsetParent ? field : null;
  };

  // --- brush ------------------------------------------------------------------------------------

  const slider = (field) => field.querySelector(".size_picker input[type=range]");

  // The size's slider is there only while it is open; the next stroke closes it.
  const resizeBrush = async (field, factor) => {
    if (!slider(field)) {
      press(field, "Brush Size");
      press(field, "Eraser Size");
      await pause(60);
    }
    const range = slider(field);
    if (!range) return;
    const now = Number(range.value);
    const wanted = factor > 1 ? Math.max(now + 1, now * factor) : Math.min(now - 1, now * factor);
    range.value = Math.min(Number(range.max), Math.max(Number(range.min), Math.round(wanted)));
    range.dispatchEvent(new Event("input", { bubbles: true }));
  };

  // --- view -------------------------------------------------------------------------------------

  const fit = (field) => {
    const number = field.querySelector(".zoom-number span");
    if (!number) return;
    number.click();
    setTimeout(() => field.querySelector(".zoom-controls button")?.click(), 0);
  };

  // As large as the window: a field of its own, or gradio's where it has one.
  const closer = easel.element("button", { type: "button", className: "easel-leave-full", textContent: "Close", title: "Back to its place (Esc)" });
  const full = () => document.querySelector(".easel-canvas.is-full");
  // Without the field the page is shorter, and a browser scrolls up to the new end of it.
  let scrolled = 0;
  const fullscreen = (field) => {
    const left = full();
    closer.remove();
    left?.classList.remove("is-full");
    if (left) return scrollTo({ top: scrolled, behavior: "instant" });
    if (!field) return;
    scrolled = scrollY;
    field.classList.add("is-full");
    field.append(closer);
  };
  closer.addEventListener("click", () => fullscreen());

  // --- what was drawn, hidden and shown ---------------------------------------------------------

  // Each of gradio's editors names itself here when it is made; its canvas comes later.
  const editors = new Set();
  const placed = new WeakSet();
  let newest;
  Object.defineProperty(window, "editor", {
    configurable: true,
    get: () => newest,
    set: (editor) => {
      newest = editor;
      editors.forEach((old) => placed.has(old) && !fieldOf(old) && editors.delete(old));
      editors.add(editor);
      paint(editor);
    },
  });
  // Around the picture an editor paints white or grey, as it finds the theme once: the page's own here.
  const paint = async (editor) => {
    for (let tries = 100; tries > 0 && !editor.app?.renderer?.background; tries--) await pause(100);
    const background = editor.app?.renderer?.background;
    const colour = getComputedStyle(document.body).getPropertyValue("--easel-stage").trim();
    if (!background || !colour) return;
    background.color = colour;
    editor.wake_render_loop?.();
    sized.observe(editor.app.canvas);
  };
  // Where a field changes its size, gradio puts the picture's corner into the middle and fits it, by
  // chance before or after its canvas has the new size: fitted once more it is right either way.
  const sized = new ResizeObserver((entries) => setTimeout(() => entries.forEach(({ target }) => {
    if (target.offsetParent) editorOf(target.closest(".easel-canvas"))?.tools?.get("zoom")?.set_zoom("fit");
  }), 100));
  new MutationObserver(() => editors.forEach(paint)).observe(document.body ?? document.documentElement, { attributes: true, attributeFilter: ["class"] });
  const fieldOf = (editor) => {
    const field = editor.context?.app?.canvas?.closest?.(".easel-canvas");
    if (field) placed.add(editor);
    return field;
  };
  // A field's own editor: window.editor is whichever was made last, of any field.
  const editorOf = (field) => [...editors].find((one) => fieldOf(one) === field);
  const isHidden = (field) => field?.classList.contains("is-overlay-hidden") ?? false;
  const setOverlay = (field, isShown) => {
    const editor = editorOf(field);
    const layers = editor?.layer_manager?.get_layers?.() ?? [];
    layers.filter((layer) => layer.container.visible !== isShown).forEach((layer) => editor.toggle_layer_visibility(layer.id));
    field.classList.toggle("is-overlay-hidden", !isShown && layers.length > 0);
    if (isShown) easel.canvas.touch(field); // hidden it was not read
  };
  const isWhole = (field) => {
    let whole = true;
    const editor = editorOf(field);
    editor?.min_zoom?.subscribe?.((value) => (whole = value))();
    return whole;
  };
  // A hidden layer would be read as an empty one: whoever draws or reads gets it shown first.
  const showAll = () => document.querySelectorAll(".is-overlay-hidden").forEach((field) => setOverlay(field, true));
  document.addEventListener("pointerdown", (event) => event.target.closest?.("canvas, .toolbar-wrap") && showAll(), true);

  // --- wiring -----------------------------------------------------------------------------------

  // While the key is down, the picture goes along with the mouse.
  let moved = null;
  const stopMoving = () => {
    moved?.field.classList.remove("is-moved");
    moved = null;
  };
  const move = (field) => {
    const editor = editorOf(field);
    if (!editor || isWhole(field)) return;
    const { x, y } = editor.image_container.position;
    moved = { field, editor, x, y };
    field.classList.add("is-moved");
  };
  const moveBy = (dx, dy) => {
    moved.x += dx;
    moved.y += dy;
    const { x, y, editor } = moved;
    editor.set_image_properties({ scale: editor.image_container.scale.x, position: { x, y }, animate: false });
  };

  const KEYS = {
    shrink_brush: (field) => resizeBrush(field, 0.85),
    grow_brush: (field) => resizeBrush(field, 1.18),
    move,
    fullscreen,
    reset: fit,
    overlap: (field) => setOverlay(field, isHidden(field)),
  };
  const ALSO = { "[": "shrink_brush", "]": "grow_brush" };

  const action = (event) => {
    const key = event.key.toLowerCase();
    return ALSO[key] ?? Object.keys(KEYS).find((name) => setting(name).toLowerCase() === key);
  };

  // Undo and redo are for the shown field, wherever the pointer is.
  const undo = (event) => {
    const field = aimed() ?? easel.canvas.shownEditor();
    const key = event.key.toLowerCase();
    if (!field || !["z", "y"].includes(key)) return;
    event.preventDefault();
    showAll();
    press(field, key === "y" || event.shiftKey ? "Redo" : "Undo");
    easel.canvas.touch(field);
  };

  document.addEventListener("keydown", (event) => {
    if (event.target.matches?.(TYPING)) return;
    if (event.key === "Escape" && full()) {
      event.stopPropagation();
      return fullscreen();
    }
    if ((event.ctrlKey || event.metaKey) && !event.altKey) return undo(event);
    const field = aimed();
    if (!field || event.altKey || event.metaKey || event.ctrlKey) return;
    const name = action(event);
    if (!name || (!isEditor(field) && name !== "fullscreen")) return;
    event.preventDefault();
    if (!event.repeat || name.endsWith("_brush")) KEYS[name](field);
  }, true);
  document.addEventListener("keyup", (event) => event.key.toLowerCase() === setting("move").toLowerCase() && stopMoving());
  window.addEventListener("blur", stopMoving);
  document.addEventListener("pointermove", (event) => moved && moveBy(event.movementX, event.movementY));

  // The editor itself zooms with Alt; at its whole size the wheel scrolls the page.
  document.addEventListener(
    "wheel",
    (event) => {
      const field = event.isTrusted && event.target.closest?.(".easel-editor");
      if (!field || !event.target.matches("canvas")) return;
      const held = (name) => event[MODIFIERS[setting(name)]] ?? false;
      if (held("adjust")) {
        event.preventDefault();
        event.stopPropagation();
        resizeBrush(field, event.deltaY + event.deltaX < 0 ? 1.1 : 0.9);
      } else if (held("zoom")) {
        event.preventDefault();
        if (event.altKey) return;
        event.stopPropagation();
        const { clientX, clientY } = event;
        const deltaY = event.deltaY || event.deltaX;
        event.target.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, altKey: true, clientX, clientY, deltaY }));
      } else if (!isWhole(field)) event.preventDefault();
    },
    { capture: true, passive: false },
  );

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-full]")) fullscreen(easel.byId(easel.canvas.shownField()));
  });

  return { editorOf, isHidden, showAll };
})();
