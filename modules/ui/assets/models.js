// The Models tab: look a model up, read its terms, download it, watch it come.
"use strict";

easel.models = (() => {
  const make = easel.element;
  const OFTEN_MS = 700;
  const SELDOM_MS = 5000;
  const active = (one) => one.state === "waiting" || one.state === "running";
  let state = { refusal: "", known: [], kinds: [], downloads: [] };
  let found = null;
  let timer = 0;
  let seen = new Map();
  const rows = new Map();

  const bytes = (value) => {
    if (value === null || value === undefined) return "size unknown";
    const [unit, by] = value >= 1e9 ? ["GB", 1e9] : ["MB", 1e6];
    return `${(value / by).toLocaleString(undefined, { maximumFractionDigits: by === 1e9 ? 2 : 1 })} ${unit}`;
  };

  const button = (text, act, title = "") => {
    const made = make("button", { type: "button", textContent: text, title });
    made.addEventListener("click", act);
    return made;
  };

  const link = (address, text) => make("a", { href: address, target: "_blank", rel: "noopener noreferrer", textContent: text });

  // --- the parts of the tab --------------------------------------------------------------------

  const notice = make("p", { className: "easel-banner", hidden: true });
  const field = make("input", { type: "text", placeholder: "sd15, owner/name or an address", autocomplete: "off", spellcheck: false });
  const kind = make("select", { ariaLabel: "Kind" });
  const lookUp = make("button", { type: "submit", textContent: "Look up" });
  const form = make(
    "form",
    { className: "easel-models-form" },
    make("label", {}, make("span", { textContent: "A name from the list, a Hugging Face id, or an https address" }), field),
    make("label", {}, make("span", { textContent: "Kind" }), kind),
    lookUp,
  );
  const said = make("p", { className: "easel-note", role: "status" });
  const terms = make("section", { className: "easel-models-terms", hidden: true });
  const known = make("ul", { className: "easel-models-known" });
  const list = make("ul", { className: "easel-models-list" });
  const none = make("p", { className: "easel-note", textContent: "Nothing is being downloaded." });

  const say = (text, isWrong = false) => {
    said.textContent = text;
    said.classList.toggle("is-error", isWrong);
  };

  const reason = (error) => error.detail || (error.status ? error.message : "The server does not answer.");

  const call = async (path, body) => {
    try {
      const reply = await easel.request(path, { body });
      say("");
      return reply;
    } catch (error) {
      say(reason(error), true);
      return null;
    } finally {
      ask();
    }
  };

  // --- looking up ------------------------------------------------------------------------------

  const search = async (source) => {
    lookUp.disabled = true;
    terms.hidden = true;
    say("Looking …");
    found = await call("downloads/look", { source });
    lookUp.disabled = Boolean(state.refusal);
    if (found) drawTerms();
  };

  const drawTerms = () => {
    const select = make("select", { ariaLabel: "File" });
    const label = (file) => (file.files > 1 ? `${file.name} · ${file.files} files · ${bytes(file.size)}` : `${file.name} · ${bytes(file.size)}`);
    select.append(...found.files.map((file) => make("option", { value: file.name, textContent: label(file) })));
    const checks = ({ files, has_checksum }) => {
      if (files > 1) return `A whole folder in the layout of diffusers. ${has_checksum ? "All checksums are known and will be compared." : "Not all checksums are known."}`;
      return has_checksum ? "Its checksum is known and will be compared." : "No checksum is known for it.";
    };
    const chosen = () => found.files.find((file) => file.name === select.value) ?? found.files[0];
    const go = button("", () => start(chosen()));
    go.className = "easel-models-go";
    const draw = () => {
      go.textContent = `Accept the licence and download ${bytes(chosen().size)}`;
      check.textContent = checks(chosen());
    };
    const check = make("p", { className: "easel-note" });
    select.addEventListener("change", draw);
    draw();
    const isUrl = found.page === found.source;
    terms.replaceChildren(
      make("h3", { textContent: found.title }),
      make("p", {}, make("b", { textContent: "Licence: " }), found.licence, " · ", link(found.page, isUrl ? "address" : "read about it")),
      ...(found.files.length > 1 ? [make("label", {}, make("span", { textContent: "Several to choose from" }), select)] : []),
      check,
      go,
    );
    terms.hidden = false;
    terms.scrollIntoView({ block: "nearest" });
    go.focus();
  };

  const start = async (file) => {
    const begun = await call("downloads", { source: found.source, file: file.name, kind: kind.value || null });
    if (!begun) return;
    terms.hidden = true;
    field.value = "";
    say(`${begun.file} is on its way.`);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) search(field.value.trim());
  });

  // --- lists -----------------------------------------------------------------------------------

  const drawKnown = () => {
    const items = state.known.map((row) => {
      const act = row.is_here ? make("span", { className: "easel-models-here", textContent: "is here" }) : button("Get", () => search(row.name), `Look ${row.title} up`);
      if (!row.is_here) act.ariaLabel = `Get ${row.title}`;
      act.disabled = Boolean(state.refusal);
      const terms = make("small", {}, `${row.kind} · ${bytes(row.size)} · ${row.licence} · `, link(row.page, "page"));
      return make("li", {}, make("div", {}, make("b", { textContent: row.title }), make("span", { textContent: row.words }), terms), act);
    });
    known.replaceChildren(...items);
  };

  const words = (one) => {
    if (one.state === "done") return `done: ${one.message}`;
    if (one.state === "failed") return one.message;
    if (!active(one)) return `stopped at ${bytes(one.done)}`;
    if (one.state === "waiting") return "waiting";
    const of = one.total ? ` of ${bytes(one.total)}` : "";
    const left = one.total && one.speed > 0 ? ` · ${easel.results.seconds((one.total - one.done) / one.speed)} left` : "";
    return `${bytes(one.done)}${of}${one.speed > 0 ? ` · ${bytes(one.speed)}/s` : ""}${left}`;
  };

  const buttons = (one) => {
    const send = (what) => () => call(`downloads/${one.id}/${what}`, {});
    if (active(one)) return [button("Stop", send("stop"))];
    if (one.state === "done") return [button("Clear", send("forget"))];
    return [button("Go on", send("resume")), button("Throw away", send("forget"))];
  };

  // A row stays in place while its numbers change, so that focus and clicks do not get lost.
  const row = (one) => {
    const text = make("small");
    const bar = make("progress", { max: 1 });
    bar.ariaLabel = `Progress of ${one.file}`;
    const item = make("li", { className: `is-${one.state}` }, make("div", {}, make("b", { textContent: one.file }), bar, text), ...buttons(one));
    return { item, text, bar, state: one.state };
  };

  const drawDownloads = () => {
    for (const [id, known] of rows) {
      const now = state.downloads.find((one) => one.id === id);
      if (now?.state === known.state) continue;
      known.item.remove();
      rows.delete(id);
    }
    let before = null;
    for (const one of state.downloads) {
      if (!rows.has(one.id)) rows.set(one.id, row(one));
      const { item, text, bar } = rows.get(one.id);
      if (text.textContent !== words(one)) text.textContent = words(one);
      bar.hidden = one.state === "done";
      if (one.total) bar.value = one.done / one.total;
      else bar.removeAttribute("value");
      if (item.nextElementSibling !== before || !item.isConnected) list.insertBefore(item, before);
      before = item;
    }
    none.hidden = state.downloads.length > 0;
  };

  // A model that came belongs into the menus and cards.
  const welcome = () => {
    const now = new Map(state.downloads.map((one) => [one.id, one.state]));
    const came = [...now].some(([id, what]) => what === "done" && seen.has(id) && seen.get(id) !== "done");
    seen = now;
    if (!came) return;
    easel.byId("refresh_sd_model_checkpoint")?.click();
    easel.cards.reload();
  };

  const ask = async () => {
    clearTimeout(timer);
    try {
      state = await easel.request("downloads");
      draw();
    } catch {
      /* the header says that the connection is lost */
    }
    const isShown = easel.byId("easel_models")?.offsetParent;
    const busy = state.downloads.some(active);
    if (isShown || busy) timer = setTimeout(ask, busy ? OFTEN_MS : SELDOM_MS);
  };

  let drawn = "";
  const draw = () => {
    notice.hidden = !state.refusal;
    notice.textContent = state.refusal;
    lookUp.disabled = Boolean(state.refusal);
    if (!kind.options.length) {
      kind.append(make("option", { value: "", textContent: "by its content" }));
      kind.append(...state.kinds.map((name) => make("option", { value: name, textContent: name })));
    }
    const now = JSON.stringify([state.known, state.refusal]);
    if (now !== drawn) drawKnown();
    drawn = now;
    welcome();
    drawDownloads();
  };

  easel.whenThere("easel_models", (root) => {
    const part = (title, ...inside) => make("section", {}, make("h2", { textContent: title }), ...inside);
    root.replaceChildren(
      notice,
      part("Get a model", form, said, terms),
      part("Downloads", none, list),
      part("Well-known models", known),
    );
    new IntersectionObserver(([entry]) => entry.isIntersecting && ask()).observe(root);
  });
  return { ask };
})();
