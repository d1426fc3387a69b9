// The folders of one pane of cards: as buttons that go down one level, or as a tree beside them.
"use strict";

easel.CardFolders = class {
  constructor(pane) {
    const make = easel.element;
    this.pane = pane;
    this.open = new Set(easel.local.get(`cards.open.${pane.kind}`, []));
    this.chosen = easel.local.get(`cards.folders.${pane.kind}`, null);
    this.at = "";
    this.buttons = make("nav", { className: "easel-card-folders", ariaLabel: "Folders", hidden: true });
    this.toggle = make("button", { type: "button", className: "easel-card-button", textContent: "Tree", title: "Folders as a tree", hidden: true });
    this.tree = make("ul", { className: "easel-card-tree", ariaLabel: "Folders", hidden: true });
    this.tree.setAttribute("role", "tree");
    this.toggle.addEventListener("click", () => this.choose());
    this.tree.addEventListener("click", (event) => this.press(event));
    this.tree.addEventListener("keydown", (event) => this.move(event));
  }

  draw(reply) {
    this.reply = reply;
    const { tree, shows_folders: isShown, tree_width: width } = reply.options;
    this.otherwise = isShown ? "buttons" : "none";
    const view = this.chosen ?? (isShown && tree ? "tree" : this.otherwise);
    const hasFolders = reply.tree.length > 0;
    this.toggle.hidden = !hasFolders;
    this.toggle.ariaPressed = String(view === "tree");
    this.tree.hidden = !hasFolders || view !== "tree";
    this.tree.style.setProperty("--easel-tree", `${width}px`);
    this.drawButtons(view === "buttons");
    if (!this.tree.hidden) this.drawTree();
  }

  choose() {
    this.chosen = this.tree.hidden ? "tree" : this.otherwise;
    easel.local.set(`cards.folders.${this.pane.kind}`, this.chosen);
    this.draw(this.reply);
  }

  // --- buttons ----------------------------------------------------------------------------------

  drawButtons(isShown) {
    const button = (text, path, isHere) => {
      const made = easel.element("button", { type: "button", textContent: text, title: path || "All folders" });
      if (isHere) made.ariaCurrent = "true";
      made.addEventListener("click", () => this.pane.ask({ folder: path }));
      return made;
    };
    const here = this.pane.folder;
    const parts = here ? here.split("/") : [];
    const trail = parts.map((part, i) => button(`${part} /`, parts.slice(0, i + 1).join("/"), i === parts.length - 1));
    const below = this.reply.folders.map((folder) => button(`${folder.name} (${folder.count})`, folder.path, false));
    this.buttons.hidden = !isShown || (!trail.length && !below.length);
    this.buttons.replaceChildren(button("All", "", !trail.length), ...trail, ...below);
  }

  // --- tree -------------------------------------------------------------------------------------

  parent(path) {
    return path.split("/").slice(0, -1).join("/");
  }

  isSeen(path) {
    for (let above = this.parent(path); above; above = this.parent(above)) {
      if (!this.open.has(above)) return false;
    }
    return true;
  }

  drawTree() {
    const all = this.reply.tree;
    const parents = new Set(all.map(({ path }) => this.parent(path)));
    const rows = [{ path: "", name: "All", count: "" }, ...all.filter(({ path }) => this.isSeen(path))];
    if (!rows.some(({ path }) => path === this.at)) this.at = this.pane.folder;
    const hadFocus = this.tree.contains(document.activeElement);
    this.tree.replaceChildren(...rows.map((row) => this.item(row, row.path && parents.has(row.path))));
    if (hadFocus) this.focus(this.at);
  }

  item({ path, name, count }, hasMore) {
    const make = easel.element;
    const isOpen = this.open.has(path);
    const sign = make("i", { textContent: hasMore ? (isOpen ? "▾" : "▸") : "", ariaHidden: "true" });
    const item = make("li", { title: path || "All folders", tabIndex: path === this.at ? 0 : -1 }, sign, make("span", { textContent: name }), make("small", { textContent: count }));
    const level = path ? path.split("/").length : 1;
    item.dataset.path = path;
    item.setAttribute("role", "treeitem");
    item.setAttribute("aria-level", level);
    item.setAttribute("aria-selected", path === this.pane.folder);
    if (hasMore) item.setAttribute("aria-expanded", isOpen);
    item.style.setProperty("--level", level - 1);
    return item;
  }

  focus(path) {
    this.at = path;
    for (const item of this.tree.children) {
      item.tabIndex = item.dataset.path === path ? 0 : -1;
      if (!item.tabIndex) item.focus();
    }
  }

  unfold(path, isOpen) {
    if (isOpen) this.open.add(path);
    else this.open.delete(path);
    easel.local.set(`cards.open.${this.pane.kind}`, [...this.open]);
    this.drawTree();
  }

  select(path) {
    this.at = path;
    this.pane.ask({ folder: path });
  }

  press(event) {
    const item = event.target.closest("li");
    if (!item) return;
    this.focus(item.dataset.path);
    const isSign = event.target.matches("i") && item.hasAttribute("aria-expanded");
    if (isSign) this.unfold(this.at, item.getAttribute("aria-expanded") === "false");
    else this.select(this.at);
  }

  move(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const items = [...this.tree.children];
    const place = items.indexOf(event.target);
    if (place < 0) return;
    const path = event.target.dataset.path;
    const expanded = event.target.getAttribute("aria-expanded");
    const go = (index) => this.focus(items[Math.max(0, Math.min(items.length - 1, index))].dataset.path);
    const actions = {
      ArrowDown: () => go(place + 1),
      ArrowUp: () => go(place - 1),
      Home: () => go(0),
      End: () => go(items.length - 1),
      ArrowRight: () => (expanded === "false" ? this.unfold(path, true) : expanded && go(place + 1)),
      ArrowLeft: () => (expanded === "true" ? this.unfold(path, false) : this.focus(this.parent(path))),
      Enter: () => this.select(path),
      " ": () => this.select(path),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }
};
