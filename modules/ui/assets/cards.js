// Cards of extra networks: pages from the server, only the visible ones in the page.
"use strict";

easel.cards = (() => {
  const make = easel.element;
  const GAP = 8;
  const USUAL_WIDTH = 138;
  const SORTS = ["Path", "Name", "Date Created", "Date Modified"];
  const { toggled, isIn, added, without } = easel.cardText;
  const panes = [];
  let wantedCheckpoint = "";

  const address = (path, values) => `${path}?${new URLSearchParams(values)}`;

  // --- the prompt ------------------------------------------------------------------------------

  const write = (box, text) => {
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };

  const boxes = (tab) => ({ prompt: easel.input(`${tab}_prompt`), negative: easel.input(`${tab}_neg_prompt`) });

  const use = (pane, card) => {
    if (pane.kind === "checkpoints") {
      wantedCheckpoint = card.key;
      easel.byId("easel_choose_checkpoint")?.click();
      return pane.say(`Loading ${card.name} …`);
    }
    const { prompt, negative } = boxes(pane.tab);
    const target = pane.target === "negative" ? negative : prompt;
    const was = isIn(target.value, card);
    write(target, toggled(target.value, card, pane.options.separator));
    if (card.negative && was) write(negative, without(negative.value, card.negative));
    if (card.negative && !was && !negative.value.includes(card.negative)) {
      write(negative, added(negative.value, card.negative, pane.options.separator));
    }
    pane.say(`${card.name}: ${was ? "taken out of" : "put into"} the ${pane.target === "negative" ? "negative prompt" : "prompt"}`);
    pane.mark();
  };

  const isUsed = (pane, card) => {
    if (pane.kind === "checkpoints") {
      const chosen = easel.input("setting_sd_model_checkpoint")?.value ?? "";
      return chosen === card.key || chosen.startsWith(`${card.key} [`);
    }
    const { prompt, negative } = boxes(pane.tab);
    return isIn(prompt?.value ?? "", card) || (pane.kind === "textual_inversion" && isIn(negative?.value ?? "", card));
  };

  // --- one pane --------------------------------------------------------------------------------

  class Pane {
    constructor(root) {
      this.root = root;
      this.tab = root.dataset.tab;
      this.kind = root.dataset.kind;
      this.folder = "";
      this.search = "";
      this.order = easel.local.get(`cards.${this.kind}`, null);
      this.target = "prompt";
      this.total = 0;
      this.pages = new Map();
      this.nodes = new Map();
      this.current = 0;
      this.turn = 0;
      this.options = { width: 0, height: 0, text_scale: 1, shows_description: true, separator: " " };
      this.build();
      new ResizeObserver(() => this.appear()).observe(this.scroller);
    }

    build() {
      this.field = make("input", { type: "search", placeholder: "Search", ariaLabel: "Search cards" });
      this.sorts = make("select", { ariaLabel: "Order", title: "Order" });
      this.sorts.append(...SORTS.map((name) => make("option", { value: name, textContent: name })));
      this.direction = make("button", { type: "button", className: "easel-card-button" });
      const refresh = make("button", { type: "button", className: "easel-card-button", textContent: "⟳", title: "Look for files again", ariaLabel: "Look for files again" });
      this.count = make("span", { className: "easel-card-count", role: "status" });
      const bar = make("div", { className: "easel-card-bar" }, this.field, this.sorts, this.direction, refresh);
      if (this.kind === "textual_inversion") bar.append(this.buildTarget());
      this.folders = new easel.CardFolders(this);
      bar.append(this.folders.toggle);
      this.list = make("ul", { className: "easel-card-list" });
      this.scroller = make("div", { className: "easel-card-scroll", tabIndex: -1 }, this.list);
      const body = make("div", { className: "easel-card-body" }, this.folders.tree, this.scroller);
      this.root.replaceChildren(bar, this.folders.buttons, this.count, body);
      let timer = 0;
      this.field.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => this.ask({ search: this.field.value }), 200);
      });
      this.sorts.addEventListener("change", () => this.sort(this.sorts.value, this.order?.descending ?? false));
      this.direction.addEventListener("click", () => this.sort(this.sorts.value, !(this.order?.descending ?? false)));
      refresh.addEventListener("click", () => this.reload(true));
      this.scroller.addEventListener("scroll", () => this.draw(), { passive: true });
      this.scroller.addEventListener("keydown", (event) => this.move(event));
      this.list.addEventListener("click", (event) => this.press(event));
    }

    buildTarget() {
      this.into = make("select", { ariaLabel: "A card goes into", title: "A card goes into" });
      this.into.append(make("option", { value: "prompt", textContent: "→ prompt" }), make("option", { value: "negative", textContent: "→ negative prompt" }));
      this.into.addEventListener("change", () => (this.target = this.into.value));
      return this.into;
    }

    aim(target) {
      if (this.into) this.into.value = this.target = target;
    }

    say(text) {
      if (this.count.textContent !== text) this.count.textContent = text;
    }

    ask(change) {
      Object.assign(this, change);
      this.reload();
    }

    sort(sort, descending) {
      this.order = { sort, descending };
      easel.local.set(`cards.${this.kind}`, this.order);
      this.reload();
    }

    appear() {
      if (!this.scroller.clientWidth) return;
      if (!this.isLoaded) {
        this.isLoaded = true;
        return this.reload();
      }
      this.clear();
      this.draw();
    }

    clear() {
      this.nodes.forEach((node) => node.remove());
      this.nodes.clear();
    }

    async reload(refresh = false, keep = false) {
      this.turn++;
      this.pages.clear();
      this.root.ariaBusy = "true";
      const place = this.scroller.scrollTop;
      await this.load(0, refresh);
      this.clear();
      this.scroller.scrollTop = keep ? place : 0;
      if (!keep) this.current = 0;
      this.root.ariaBusy = "false";
      this.draw();
    }

    async load(page, refresh = false) {
      const turn = this.turn;
      this.pages.set(page, null);
      const order = this.order ?? {};
      const asked = { kind: this.kind, folder: this.folder, search: this.search, page, refresh };
      if (order.sort) Object.assign(asked, { sort: order.sort, descending: order.descending });
      try {
        const reply = await easel.request(address("cards", asked));
        if (turn !== this.turn) return;
        this.take(page, reply);
      } catch (error) {
        if (turn !== this.turn) return;
        this.pages.delete(page);
        this.say(error.status ? `The server refuses the cards (${error.message}).` : "The server does not answer.");
      }
    }

    take(page, reply) {
      this.pages.set(page, reply.cards);
      this.pageSize = reply.page_size;
      this.total = reply.total;
      this.options = reply.options;
      if (page === 0) {
        const usual = { sort: reply.options.sort, descending: reply.options.descending };
        if (!this.order && (usual.sort !== "Path" || usual.descending)) {
          this.order = usual;
          return this.reload();
        }
        this.folders.draw(reply);
        this.drawOrder();
        const place = [this.folder && `in ${this.folder}`, this.search && `with “${this.search}”`].filter(Boolean).join(" ");
        this.say(this.total ? `${this.total.toLocaleString()} ${this.total === 1 ? "file" : "files"} ${place}` : place ? `Nothing ${place}` : "Nothing here yet; the Models tab can get some.");
      }
      this.root.style.setProperty("--easel-card-text", reply.options.text_scale);
      this.draw();
    }

    drawOrder() {
      const { sort = "Path", descending = false } = this.order ?? {};
      this.sorts.value = sort;
      this.direction.textContent = descending ? "↓" : "↑";
      this.direction.title = descending ? "Descending" : "Ascending";
      this.direction.ariaLabel = this.direction.title;
    }

    // Columns and sizes for the present width.
    measure() {
      const width = this.scroller.clientWidth - 4;
      const wanted = this.options.width || USUAL_WIDTH;
      const columns = Math.max(this.options.width ? 1 : 2, Math.floor((width + GAP) / (wanted + GAP)));
      const wide = this.options.width || Math.floor((width - GAP * (columns - 1)) / columns);
      const high = this.options.height || Math.round(wide * 1.4);
      return { columns, wide, high, row: high + GAP };
    }

    card(index) {
      const size = this.pageSize ?? 100;
      return this.pages.get(Math.floor(index / size))?.[index % size];
    }

    draw() {
      if (!this.scroller.clientWidth) return;
      const { columns, wide, high, row } = (this.sizes = this.measure());
      const rows = Math.ceil(this.total / columns);
      this.list.style.height = `${Math.max(0, rows * row - GAP)}px`;
      const top = this.scroller.scrollTop;
      const first = Math.max(0, Math.floor(top / row) - 1) * columns;
      const last = Math.min(this.total, Math.ceil((top + this.scroller.clientHeight) / row + 1) * columns);
      for (const [index, node] of this.nodes) {
        const isGone = index < first || index >= last || node.dataset.state !== this.state(index);
        if (!isGone || (node.contains(document.activeElement) && index < this.total && index === this.current)) continue;
        node.remove();
        this.nodes.delete(index);
      }
      let after = null;
      for (let index = last - 1; index >= first; index--) {
        let node = this.nodes.get(index);
        if (!node) {
          node = this.node(index);
          this.nodes.set(index, node);
          this.list.insertBefore(node, after);
          const x = (index % columns) * (wide + GAP);
          const y = Math.floor(index / columns) * row;
          node.style.cssText = `width:${wide}px;height:${high}px;transform:translate(${x}px,${y}px)`;
        }
        after = node;
      }
      this.rove();
      this.want(first, last);
    }

    state(index) {
      const card = this.card(index);
      return card ? `${card.key} ${card.preview_version}` : "";
    }

    // Loads what is still missing once scrolling pauses.
    want(first, last) {
      clearTimeout(this.wanting);
      this.wanting = setTimeout(() => {
        const size = this.pageSize ?? 100;
        for (let page = Math.floor(first / size); page * size < last; page++) {
          if (!this.pages.has(page)) this.load(page);
        }
      }, 60);
    }

    node(index) {
      const card = this.card(index);
      const item = make("li", { className: "easel-card" });
      item.dataset.index = index;
      item.dataset.state = this.state(index);
      item.ariaSetSize = this.total;
      item.ariaPosInSet = index + 1;
      if (!card) {
        item.classList.add("is-coming");
        return item;
      }
      const face = make("button", { type: "button", className: "easel-card-face", title: card.key, tabIndex: -1 });
      if (card.preview_version !== null) face.append(this.picture(card));
      else face.append(make("span", { className: "easel-card-letter", textContent: card.name.slice(0, 2), ariaHidden: "true" }));
      const words = make("span", { className: "easel-card-text" }, make("b", { textContent: card.name }));
      if (card.description && this.options.shows_description) words.append(make("small", { textContent: card.description }));
      face.append(words);
      const more = make("button", { type: "button", className: "easel-card-more", textContent: "⋯", title: "What is known of it, notes, picture", tabIndex: -1 });
      more.ariaLabel = `About ${card.name}`;
      item.append(face, more);
      this.show(item, card);
      return item;
    }

    picture(card) {
      const source = easel.address(address("cards/picture", { kind: this.kind, key: card.key, v: card.preview_version }));
      const image = make("img", { alt: "", loading: "lazy", decoding: "async", draggable: false, src: source });
      image.addEventListener("error", () => image.remove(), { once: true });
      return image;
    }

    show(item, card) {
      const used = isUsed(this, card);
      item.classList.toggle("is-used", used);
      item.firstChild.ariaPressed = String(used);
    }

    mark() {
      for (const [index, node] of this.nodes) {
        const card = this.card(index);
        if (card && node.firstChild) this.show(node, card);
      }
    }

    // One card can be reached with Tab; the arrows go from card to card.
    rove() {
      if (!this.nodes.has(this.current)) this.current = Math.min(...this.nodes.keys(), this.total);
      for (const [index, node] of this.nodes) {
        node.querySelectorAll("button").forEach((button) => (button.tabIndex = index === this.current ? 0 : -1));
      }
      const face = this.wantsFocus && this.nodes.get(this.current)?.querySelector(".easel-card-face");
      if (!face) return;
      this.wantsFocus = false;
      if (document.activeElement === this.scroller) face.focus({ preventScroll: true });
    }

    go(index) {
      this.current = Math.max(0, Math.min(this.total - 1, index));
      const { columns, row, high } = this.sizes;
      const y = Math.floor(this.current / columns) * row;
      const { scrollTop, clientHeight } = this.scroller;
      if (y < scrollTop) this.scroller.scrollTop = y;
      else if (y + high > scrollTop + clientHeight) this.scroller.scrollTop = y + high - clientHeight;
      this.wantsFocus = true;
      this.scroller.focus({ preventScroll: true }); // until the card is there
      this.draw();
    }

    move(event) {
      if (event.altKey || event.ctrlKey || event.metaKey || !this.sizes || !this.total) return;
      const item = event.target.closest(".easel-card");
      const at = item ? Number(item.dataset.index) : this.current;
      const rows = Math.max(1, Math.floor(this.scroller.clientHeight / this.sizes.row));
      const steps = {
        ArrowRight: at + 1,
        ArrowLeft: at - 1,
        ArrowDown: at + this.sizes.columns,
        ArrowUp: at - this.sizes.columns,
        PageDown: at + rows * this.sizes.columns,
        PageUp: at - rows * this.sizes.columns,
        Home: 0,
        End: this.total - 1,
      };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.go(steps[event.key]);
    }

    press(event) {
      const item = event.target.closest(".easel-card");
      const card = item && this.card(Number(item.dataset.index));
      if (!card) return;
      this.current = Number(item.dataset.index);
      this.rove();
      if (event.target.closest(".easel-card-more")) easel.cardDialog.open(this, card);
      else use(this, card);
    }

  }

  // Gradio makes a sub-tab's place when it is first opened; from the first touch on, this watches.
  const watched = new WeakSet();
  const watch = ({ target }) => {
    const tabs = target.closest?.(".easel-networks");
    if (!tabs || watched.has(tabs)) return;
    watched.add(tabs);
    const seek = () => tabs.querySelectorAll(".easel-cards:empty").forEach((root) => panes.push(new Pane(root)));
    new MutationObserver(seek).observe(tabs, { childList: true, subtree: true });
    seek();
  };
  ["pointerdown", "focusin", "click"].forEach((kind) => document.addEventListener(kind, watch, true));

  const follow = (event, act) => {
    const box = event.target.closest?.("[id$=_prompt]");
    if (box && event.target.matches("textarea")) panes.forEach((pane) => act(pane, box));
  };
  document.addEventListener("input", (event) => follow(event, (pane) => pane.mark()));
  document.addEventListener("focusin", (event) =>
    follow(event, (pane, box) => pane.aim(box.id.endsWith("_neg_prompt") ? "negative" : "prompt")),
  );
  const remark = () => panes.forEach((pane) => pane.mark());

  // Asks for the shown cards again, of one kind or of all.
  const reload = (kind) =>
    panes.filter((pane) => pane.isLoaded && (!kind || pane.kind === kind)).forEach((pane) => pane.reload(false, true));

  return { wanted: () => wantedCheckpoint, remark, reload };
})();
