// Small things that every other script uses: elements, storage, requests, light or dark.
// Scripts add one part each to `easel`, which the page's head starts with {config, theme}.
"use strict";

easel.byId = (id) => document.getElementById(id);

// The text field inside a gradio component.
easel.input = (id) => easel.byId(id)?.querySelector("textarea, input");

// Calls `action` once the element is there; gradio builds the page piece by piece.
easel.whenThere = (() => {
  const pending = new Map();
  const look = () => {
    for (const [key, { id, action }] of pending) {
      const found = easel.byId(id);
      if (!found) continue;
      pending.delete(key);
      action(found);
    }
    if (!pending.size) watch.disconnect();
  };
  const watch = new MutationObserver(look);
  return (id, action) => {
    const now = easel.byId(id);
    if (now) return action(now);
    pending.set(Symbol(id), { id, action });
    watch.observe(document.documentElement, { childList: true, subtree: true });
  };
})();

// localStorage or sessionStorage with JSON values; a browser that forbids them forgets.
easel.store = (area) => ({
  get(key, otherwise) {
    try {
      const text = area.getItem(`easel.${key}`);
      return text === null ? otherwise : JSON.parse(text);
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      area.setItem(`easel.${key}`, JSON.stringify(value));
    } catch {
      /* full or forbidden: nothing is remembered, everything else works */
    }
  },
});
easel.local = easel.store(window.localStorage);
easel.session = easel.store(window.sessionStorage);

// The address of one of Easel's own routes, relative to the page so that a sub-path works.
easel.address = (path) => {
  const root = (window.gradio_config?.root ?? "").replace(/\/$/, "");
  const base = root ? new URL(new URL(root, location.href).pathname, location.origin).href : location.origin;
  return `${base.replace(/\/$/, "")}/easel/v1/${path}`;
};

// A request to one of these routes; a refusal's error has its status and the server's words.
easel.request = async (path, { body, signal } = {}) => {
  const reply = await fetch(easel.address(path), {
    method: body === undefined ? "GET" : "POST",
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  if (reply.ok) return reply.json();
  const { detail } = await reply.json().catch(() => ({}));
  throw Object.assign(new Error(`HTTP ${reply.status}`), {
    status: reply.status,
    detail: typeof detail === "string" ? detail : "",
  });
};

easel.element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

easel.theme = ((given) => {
  const dark = () => document.body.classList.contains("dark");
  const wanted = () => {
    const inAddress = new URLSearchParams(location.search).get("__theme");
    return inAddress || easel.local.get("theme", "") || given;
  };
  const apply = () => {
    const theme = wanted();
    if (theme === "dark" || theme === "light") {
      document.body.classList.toggle("dark", theme === "dark");
    }
    document.documentElement.style.colorScheme = dark() ? "dark" : "light";
    const button = easel.byId("easel_theme_button");
    if (button) button.textContent = dark() ? "☀" : "☾";
  };
  const toggle = () => {
    easel.local.set("theme", dark() ? "light" : "dark");
    const address = new URL(location.href);
    if (address.searchParams.has("__theme")) {
      address.searchParams.delete("__theme");
      history.replaceState(history.state, "", address);
    }
    apply();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(apply));
  apply();
  easel.whenThere("easel_theme_button", (button) => {
    button.addEventListener("click", toggle);
    apply();
  });
  return { toggle };
})(easel.theme);

// Dialogs are gradio columns that a class shows; focus goes in, Escape closes.
easel.dialog = (() => {
  let opener = null;
  const isOpen = () => document.querySelector(".easel-dialog.is-open");
  const close = () => {
    isOpen()?.classList.remove("is-open");
    opener?.focus();
    opener = null;
  };
  const toggle = (id) => {
    if (isOpen()) return close();
    opener = document.activeElement;
    const dialog = easel.byId(id);
    dialog.setAttribute("role", "dialog");
    dialog.setAttribute("aria-modal", "true");
    dialog.classList.add("is-open");
    dialog.querySelector("input, textarea, button")?.focus();
  };
  return { toggle, close, isOpen };
})();
