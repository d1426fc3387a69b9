// Prompt boxes: token counters, the bracket check, and weights by key.
"use strict";

easel.prompt = (() => {
  const timers = {};

  // The first bracket that has no partner, or "" when all have one; \( and \) are letters.
  const unbalanced = (text) => {
    const partner = { ")": "(", "]": "[", "}": "{" };
    const open = [];
    for (const found of text.matchAll(/\\[\s\S]|[()[\]{}]/g)) {
      const sign = found[0];
      if (sign.length > 1) continue;
      if (!(sign in partner)) open.push(sign);
      else if (open.pop() !== partner[sign]) return sign;
    }
    return open.pop() ?? "";
  };

  const counterOf = (tab, name) =>
    easel.byId(name === "prompt" ? `${tab}_token_counter` : `${tab}_negative_token_counter`);

  const countOne = async (tab, field) => {
    const box = easel.input(field.id);
    const counter = counterOf(tab, field.name);
    if (!box || !counter) return;
    const steps = Number(easel.input(`${tab}_steps`)?.value) || 20;
    const text = box.value;
    const sign = unbalanced(text);
    counter.classList.toggle("is-wrong", sign !== "");
    counter.title = sign ? `“${sign}” has no partner` : "Tokens used, and places that they need";
    if (easel.settings.disable_token_counters) return show(counter, "");
    if (!text.trim()) return show(counter, "0/75");
    try {
      const body = { prompt: text, steps, is_negative: field.name !== "prompt" };
      const { count, limit } = await easel.request("token-count", { body });
      if (box.value === text) show(counter, `${count}/${limit}`);
    } catch {
      show(counter, "–/75");
    }
  };

  const show = (counter, text) => {
    const place = counter.querySelector(".prose") ?? counter;
    if (place.textContent !== text) place.textContent = text;
  };

  // Counts both prompts, once typing pauses.
  const count = (tab) => {
    clearTimeout(timers[tab]);
    timers[tab] = setTimeout(() => {
      const names = ["prompt", "negative_prompt"];
      easel.config.tabs[tab]
        .filter((field) => names.includes(field.name))
        .forEach((field) => countOne(tab, field));
    }, 250);
  };

  // --- weights -------------------------------------------------------------------------------

  const NUMBER = /^\s*:\s*(-?[\d.]+)\s*$/;

  // Start and end of the innermost pair of signs around a place, or null.
  const enclosing = (text, start, end, open, close) => {
    let depth = 0;
    let left = start - 1;
    for (; left >= 0; left--) {
      if (text[left - 1] === "\\") continue;
      if (text[left] === close) depth++;
      else if (text[left] === open && depth-- === 0) break;
    }
    if (left < 0) return null;
    depth = 0;
    for (let right = end; right < text.length; right++) {
      if (text[right - 1] === "\\") continue;
      if (text[right] === open) depth++;
      else if (text[right] === close && depth-- === 0) return { left, right };
    }
    return null;
  };

  const wordAt = (text, place) => {
    const stops = `${easel.settings.keyedit_delimiters}\n\t<>[]`;
    let start = place;
    let end = place;
    while (start > 0 && !stops.includes(text[start - 1])) start--;
    while (end < text.length && !stops.includes(text[end])) end++;
    return { start, end };
  };

  const withoutBlanks = (text, start, end) => {
    while (start < end && /\s/.test(text[start])) start++;
    while (end > start && /\s/.test(text[end - 1])) end--;
    return { start, end };
  };

  const rounded = (value) => Number(value.toFixed(4));

  // "inner" or "inner:1.2" → text and weight; plain parentheses weigh 1.1.
  const readGroup = (inner) => {
    const colon = inner.lastIndexOf(":");
    const number = colon < 0 ? null : NUMBER.exec(inner.slice(colon));
    return number ? { body: inner.slice(0, colon), weight: Number(number[1]) } : { body: inner, weight: 1.1 };
  };

  // Nested groups around exactly the same words become one: ((a)) is (a:1.21).
  const unwrap = (text) => {
    let body = text;
    let weight = 1;
    for (;;) {
      const pair = body.startsWith("(") ? enclosing(body, 1, 1, "(", ")") : null;
      if (!pair || pair.left !== 0 || pair.right !== body.length - 1) return { body, weight };
      const group = readGroup(body.slice(1, -1));
      body = group.body;
      weight *= group.weight;
    }
  };

  const networkEdit = (text, start, end, direction) => {
    const pair = enclosing(text, start, end, "<", ">");
    const inner = pair && text.slice(pair.left + 1, pair.right);
    const parts = inner?.match(/^([^:<>]+:[^:<>]+)(?::(-?[\d.]+))?(:.*)?$/);
    if (!parts) return null;
    const step = easel.settings.keyedit_precision_extra;
    const weight = rounded(Number(parts[2] ?? 1) + direction * step);
    const made = `<${parts[1]}:${weight}${parts[3] ?? ""}>`;
    return { from: pair.left, to: pair.right + 1, made, selected: [1, made.length - 1] };
  };

  // The edit that changes the weight of a selection: {from, to, made, selected}, or null.
  const weigh = (text, start, end, direction) => {
    const network = networkEdit(text, start, end, direction);
    if (network) return network;
    if (start === end) {
      const group = enclosing(text, start, end, "(", ")");
      if (group) ({ left: start, right: end } = { left: group.left, right: group.right + 1 });
      else ({ start, end } = wordAt(text, start));
    }
    ({ start, end } = withoutBlanks(text, start, end));
    if (start === end) return null;
    // Take in the parentheses that hold exactly the selection.
    for (;;) {
      const group = enclosing(text, start, end, "(", ")");
      if (!group) break;
      const before = text.slice(group.left + 1, start);
      const after = text.slice(end, group.right);
      if (before.trim() || (after.trim() && !NUMBER.test(after))) break;
      start = group.left;
      end = group.right + 1;
    }
    const { body, weight } = unwrap(text.slice(start, end));
    const changed = rounded(weight + direction * easel.settings.keyedit_precision_attention);
    const made = changed === 1 ? body : `(${body}:${changed})`;
    const first = changed === 1 ? 0 : 1;
    return { from: start, to: end, made, selected: [first, first + body.length] };
  };

  // The edit that exchanges the comma-separated part at a place with its neighbour, or null.
  // Blanks stay where they are, the words move.
  const move = (text, place, direction) => {
    const parts = text.split(",");
    const starts = parts.map((_, i) => parts.slice(0, i).join(",").length + (i ? 1 : 0));
    const at = starts.findLastIndex((start) => start <= place);
    const other = at + direction;
    if (other < 0 || other >= parts.length) return null;
    const words = parts.map((part) => part.trim());
    const blanks = parts.map((part) => part.match(/^(\s*)[\s\S]*?(\s*)$/).slice(1));
    [words[at], words[other]] = [words[other], words[at]];
    const made = parts.map((_, i) => blanks[i][0] + words[i] + blanks[i][1]);
    const start = made.slice(0, other).join(",").length + (other ? 1 : 0) + blanks[other][0].length;
    const selected = [start, start + words[other].length];
    return { from: 0, to: text.length, made: made.join(","), selected };
  };

  // Types the edit into the box, so that the browser's undo knows it.
  const type = (box, edit) => {
    box.focus();
    box.setSelectionRange(edit.from, edit.to);
    if (!document.execCommand("insertText", false, edit.made)) {
      box.setRangeText(edit.made, edit.from, edit.to, "end");
      box.dispatchEvent(new Event("input", { bubbles: true }));
    }
    box.setSelectionRange(edit.from + edit.selected[0], edit.from + edit.selected[1]);
  };

  const changeWeight = (box, direction) => {
    const edit = weigh(box.value, box.selectionStart, box.selectionEnd, direction);
    if (edit) type(box, edit);
    return edit !== null;
  };

  const movePart = (box, direction) => {
    const edit = move(box.value, box.selectionStart, direction);
    if (edit) type(box, edit);
  };

  return { count, changeWeight, movePart, weigh, move, unbalanced };
})();
