// What is known of one card: its picture, the user's notes, the maker's metadata.
"use strict";

easel.cardDialog = (() => {
  const make = easel.element;
  let pane = null;
  let card = null;

  const heading = make("h2");
  const picture = make("div", { className: "easel-card-picture" });
  const take = make("button", { type: "button", textContent: "Use the shown picture" });
  const copy = make("button", { type: "button", textContent: "Copy path" });
  const form = make("form", { className: "easel-card-form" });
  const facts = make("div", { className: "easel-card-facts" });
  const said = make("p", { className: "easel-note", role: "status" });
  const close = make("button", { type: "button", textContent: "Close" });
  const dialog = make(
    "div",
    { id: "easel_card_dialog", className: "easel-dialog" },
    make("header", { className: "easel-card-head" }, heading, close),
    make("div", { className: "easel-card-top" }, make("div", { className: "easel-card-side" }, picture, take, copy), form),
    said,
    facts,
  );
  dialog.ariaLabel = "About this file";
  take.title = "Make the picture that the gallery shows this card's";

  const say = (text, isWrong = false) => {
    said.textContent = text;
    said.classList.toggle("is-error", isWrong);
  };

  const drawPicture = () => {
    const none = make("span", { textContent: "No picture" });
    picture.replaceChildren(card.preview_version === null ? none : pane.picture(card));
  };

  // --- the user's notes ------------------------------------------------------------------------

  const widget = (field) => {
    const value = field.value ?? (field.widget === "number" ? 0 : "");
    if (field.widget === "lines") return make("textarea", { rows: 2, value });
    if (field.widget === "number") return make("input", { type: "number", min: 0, max: field.maximum, step: 0.05, value });
    if (field.widget !== "choice") return make("input", { type: "text", value });
    const select = make("select");
    select.append(...field.choices.map((text) => make("option", { value: text, textContent: text })));
    select.value = field.choices.includes(value) ? value : field.choices[0];
    return select;
  };

  const drawForm = (fields) => {
    const rows = fields.map((field) => {
      const input = widget(field);
      input.name = field.key;
      input.dataset.widget = field.widget;
      return make("label", {}, make("span", { textContent: field.label }), input);
    });
    const save = make("button", { type: "submit", className: "easel-card-save", textContent: "Save" });
    form.replaceChildren(...rows, save);
  };

  const values = () =>
    Object.fromEntries(
      [...form.querySelectorAll("[name]")].map((input) => [
        input.name,
        input.dataset.widget === "number" ? Number(input.value) || 0 : input.value,
      ]),
    );

  // --- the maker's words -----------------------------------------------------------------------

  const table = (rows) => {
    const body = make("tbody");
    body.append(...rows.map(([label, text]) => make("tr", {}, make("th", { scope: "row", textContent: label }), make("td", { textContent: text }))));
    return make("table", {}, body);
  };

  const tag = ([word, count]) => {
    const made = make("button", { type: "button", textContent: `${word} ${count}`, title: "Add to the activation text" });
    made.addEventListener("click", () => {
      const field = form.elements["activation text"];
      if (!field) return;
      const words = field.value.split(",").map((part) => part.trim()).filter(Boolean);
      const kept = words.includes(word) ? words.filter((part) => part !== word) : [...words, word];
      field.value = kept.join(", ");
    });
    return made;
  };

  const section = (title, ...inside) => make("section", {}, make("h3", { textContent: title }), ...inside);

  const drawFacts = ({ rows, tags, buckets, raw, path }) => {
    const size = `${(card.size / 2 ** 20).toLocaleString(undefined, { maximumFractionDigits: 1 })} MB`;
    const changed = new Date(card.modified_s * 1000).toLocaleString();
    const parts = [section("File", table([["Path", path], ["Size", size], ["Changed", changed]]))];
    if (rows.length) parts.push(section("What its maker says", table(rows)));
    if (tags.length) parts.push(section("Words of the training captions", make("div", { className: "easel-card-tags" }, ...tags.map(tag))));
    if (buckets.length) parts.push(section("Sizes of the training pictures", table(buckets)));
    if (Object.keys(raw).length) {
      const text = make("pre", { textContent: JSON.stringify(raw, null, 2), tabIndex: 0 });
      text.ariaLabel = "All metadata";
      parts.push(make("details", {}, make("summary", { textContent: "All metadata" }), text));
    } else parts.push(make("p", { className: "easel-note", textContent: "The file holds no metadata." }));
    facts.replaceChildren(...parts);
  };

  // --- actions ---------------------------------------------------------------------------------

  const reason = (error) => error.detail || (error.status ? error.message : "The server does not answer.");

  const post = async (path, body, done) => {
    try {
      card = await easel.request(`cards/${path}`, { body: { kind: pane.kind, key: card.key, ...body } });
      say(done);
      easel.cards.reload(pane.kind);
    } catch (error) {
      say(reason(error), true);
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    post("words", { values: values() }, "Saved.");
  });
  take.addEventListener("click", async () => {
    const [job, index] = easel.results.shown(pane.tab);
    if (!job || index < 0) return say("There is no picture yet: generate one first.", true);
    await post("preview", { job, index }, "The picture is the card's now.");
    drawPicture();
  });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(copy.dataset.path);
      say("The path is copied.");
    } catch {
      say(copy.dataset.path);
    }
  });
  close.addEventListener("click", () => easel.dialog.close());

  const open = async (fromPane, ofCard) => {
    pane = fromPane;
    card = ofCard;
    heading.textContent = card.name;
    say("");
    form.replaceChildren();
    facts.replaceChildren();
    drawPicture();
    if (!dialog.isConnected) (document.querySelector(".gradio-container") ?? document.body).append(dialog);
    easel.dialog.toggle(dialog.id);
    close.focus();
    try {
      const query = new URLSearchParams({ kind: pane.kind, key: card.key });
      const found = await easel.request(`cards/facts?${query}`);
      copy.dataset.path = found.path;
      drawForm(found.fields);
      drawFacts(found);
    } catch (error) {
      say(reason(error), true);
    }
  };

  return { open };
})();
