// The form's memory: what was typed stays in this browser, what differs from the default is marked.
"use strict";

easel.form = (() => {
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const fields = (tab) => easel.config.tabs[tab];
  const isEmptied = (value) => value === null || value === undefined;

  // Only what differs from the defaults is kept, so that a new default reaches untouched fields.
  // The last value is the chips: settings that hold for the next jobs.
  const remember = (tab, values) => {
    const changed = {};
    easel.local.set(`chips.${tab}`, values[fields(tab).length] ?? []);
    fields(tab).forEach((field, i) => {
      if (!isEmptied(values[i]) && !same(values[i], field.default)) changed[field.name] = values[i];
    });
    easel.local.set(`form.${tab}`, changed);
    draw(tab, values);
    return [];
  };

  const recall = (tab, [state, ...values]) => {
    setNativeSize(tab, JSON.parse(state));
    const kept = easel.local.get(`form.${tab}`, {});
    const recalled = fields(tab).map((field) => asField(field, kept[field.name] ?? field.default));
    draw(tab, recalled);
    setTimeout(() => describe(tab), 0);
    const chips = values.length > recalled.length ? [easel.local.get(`chips.${tab}`, [])] : [];
    const all = [...recalled, ...chips];
    return all.length === values.length ? all : values;
  };

  // Seeds are texts, since they have more digits than a number here; what is kept may be older.
  const asField = (field, value) => (typeof field.default === "string" ? String(value) : value);

  // Tooltips, and what gradio leaves out for screen readers; a tab's fields come when it is opened.
  const describe = (tab) =>
    fields(tab).forEach((field) => easel.whenThere(field.id, (block) => setTimeout(() => describeField(tab, field, block), 0)));

  const describeField = (tab, field, block) => {
    addReset(tab, field, block);
    block.classList.toggle("is-changed", changed[tab]?.has(field.name) ?? false);
    if (!field.tooltip) return;
    (block.querySelector("[data-testid=block-info]") ?? block).title = field.tooltip;
    block.querySelectorAll("input, textarea").forEach((input) => {
      input.setAttribute("aria-description", field.tooltip);
      if (field.name === "styles") input.placeholder = "Styles";
    });
  };

  // Every field has a ↺: sliders gradio's own, the others this one. The prompts have Clear, and a
  // box to tick is its own.
  const addReset = (tab, field, block) => {
    if (field.id === `${tab}_prompt` || field.id === `${tab}_neg_prompt`) return;
    if (block.querySelector(".reset-button, .easel-reset, input[type=checkbox]")) return;
    const button = easel.element("button", { type: "button", className: "easel-reset", textContent: "↺", title: `Reset ${field.label}` });
    button.setAttribute("aria-label", button.title);
    button.addEventListener("click", (event) => {
      event.preventDefault();
      event.stopPropagation();
      wanted = field.name;
      easel.byId(`${tab}_reset_field`).click();
    });
    block.append(button);
  };
  let wanted = "";

  // The fields' values with the default in the one whose ↺ was pressed.
  const reset = (tab, values) =>
    fields(tab).map((field, i) => (field.name === wanted ? field.default : values[i]));

  const changed = {}; // names of the fields that differ from their defaults, by tab
  const draw = (tab, values) => {
    const now = {};
    changed[tab] = new Set();
    fields(tab).forEach((field, i) => {
      now[field.name] = values[i];
      const differs = !isEmptied(values[i]) && !same(values[i], field.default);
      if (differs) changed[tab].add(field.name);
      easel.byId(field.id)?.classList.toggle("is-changed", differs);
    });
    title(`${tab}_hr`, hiresTitle(now));
    title(`${tab}_seed_extras`, variationTitle(now));
    if (now.scale) easel.canvas?.tellSize(tab, now.scale);
    easel.prompt?.count(tab);
  };

  const title = (id, text) => {
    const label = easel.byId(id)?.querySelector(".label-wrap > span");
    if (label && label.textContent !== text) label.textContent = text;
  };

  const eight = (value) => Math.floor(value / 8) * 8;

  // The size of the second pass, as the server works it out.
  const hiresSize = (now) => {
    const { width, height, hr_scale: scale, hr_resize_x: x, hr_resize_y: y } = now;
    if (!x && !y) return [eight(width * scale), eight(height * scale)];
    if (x && y) return [x, y];
    return x ? [x, Math.floor((x * height) / width)] : [Math.floor((y * width) / height), y];
  };

  const hiresTitle = (now) => {
    if (!now.enable_hr) return "Hires. fix: off";
    const [width, height] = hiresSize(now);
    const sizes = `${now.width}×${now.height} → ${width}×${height}`;
    return `Hires. fix: ${sizes}, ${now.hr_upscaler}, ${now.denoising_strength}`;
  };

  const variationTitle = (now) => {
    const seed = now.subseed < 0 ? "random" : now.subseed;
    const parts = now.subseed_strength > 0 ? [`${now.subseed_strength} of seed ${seed}`] : [];
    if (now.seed_resize_from_w > 0 && now.seed_resize_from_h > 0) {
      parts.push(`from ${now.seed_resize_from_w}×${now.seed_resize_from_h}`);
    }
    return `Variation: ${parts.join(", ") || "off"}`;
  };

  const setNativeSize = (tab, state) => {
    easel.settings = state.settings;
    document.body.classList.toggle("easel-model-edits", state.edits);
    for (const field of fields(tab)) {
      if (["width", "height"].includes(field.name) && !field.chosen) field.default = state.native_size;
    }
  };

  // Another model may want another size: width and height follow as long as nobody changed them.
  const follow = (tab, text, width, height) => {
    const of = (name) => fields(tab).find((field) => field.name === name);
    const untouched = width === of("width").default && height === of("height").default;
    const state = JSON.parse(text);
    setNativeSize(tab, state);
    return untouched ? [of("width").default, of("height").default] : [width, height];
  };

  // A slider's ↺ goes to the default of now, which gradio does not know.
  document.addEventListener(
    "click",
    (event) => {
      const block = event.target.closest?.(".reset-button")?.closest(".easel-field");
      const all = Object.values(easel.config.tabs).flat();
      const field = block && all.find((one) => one.id === block.id);
      if (!field) return;
      event.preventDefault();
      event.stopPropagation();
      const input = block.querySelector("input[type=number]");
      input.value = field.default;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      input.dispatchEvent(new Event("change", { bubbles: true }));
    },
    true,
  );

  const clear = (prompt, negative) => {
    const isEmpty = !prompt && !negative;
    return isEmpty || confirm("Clear both prompts?") ? ["", ""] : [prompt, negative];
  };

  // Ticking hires fix opens what belongs to it.
  document.addEventListener("change", (event) => {
    const box = event.target.closest?.(".easel-switch-fold");
    if (!box || event.target.type !== "checkbox" || !event.target.checked) return;
    const header = box.querySelector(".label-wrap");
    if (header && !header.classList.contains("open")) header.click();
  });

  // Restores the place that an error pointed to.
  const mark = (id, isWrong) => {
    const block = easel.byId(id);
    block?.classList.toggle("is-wrong", isWrong);
    block?.querySelectorAll("input, textarea").forEach((input) => {
      if (isWrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    });
    if (isWrong) block?.scrollIntoView({ block: "nearest" });
  };

  easel.settings = {
    keyedit_precision_attention: 0.1,
    keyedit_precision_extra: 0.05,
    keyedit_delimiters: ".,\\/!?%^*;:{}=`~() ",
    live_preview_refresh_period: 1000,
    disable_token_counters: false,
  };
  return { remember, recall, follow, clear, mark, reset };
})();
