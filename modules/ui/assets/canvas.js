// Picture fields of img2img and inpaint: which mode is shown, pictures that go from field to
// field, sizes, and what comes back after a reload. Values travel through hidden buttons.
"use strict";

easel.canvas = (() => {
  const modes = (tab) => easel.config.modes?.[tab] ?? [];
  const pending = {};
  const asked = {};
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // --- values in and out -----------------------------------------------------------------------

  // Called by gradio: what the field shall show, and what it shows.
  const taken = (id) => {
    const value = pending[id];
    delete pending[id];
    return [value ?? null];
  };
  const given = (id, value) => {
    const askers = asked[id] ?? [];
    delete asked[id];
    askers.forEach((answer) => answer(value ?? null));
    return [];
  };
  const get = (id) =>
    new Promise((resolve) => {
      if (easel.canvasKeys.isHidden(easel.byId(id))) easel.canvasKeys.showAll();
      asked[id] = [...(asked[id] ?? []), resolve];
      easel.byId(`${id}_get`).click();
    });
  const put = (id, value) => {
    pending[id] = value;
    easel.byId(`${id}_put`).click();
  };

  const rowOf = (id) => Object.values(easel.config.modes ?? {}).flat().flatMap((m) => m.canvases).find((c) => c.id === id);
  const isEditor = (id) => rowOf(id)?.kind !== "picture";
  const pictureIn = (value) => (value?.path ? value : (value?.background ?? null));
  const shown = (value) => (value?.path ? value : (value?.composite ?? value?.background ?? null));
  const asValue = (id, file) => (isEditor(id) ? { background: file, layers: [], composite: null } : file);

  // Gives a field a picture; its mode is opened first, since gradio makes fields when first seen.
  const load = async (tab, name, file) => {
    const mode = modes(tab).find((one) => one.name === name);
    await open(tab, mode);
    into(tab, mode.canvases[0].id, file);
  };
  const into = (tab, id, file) => {
    const value = asValue(id, file);
    put(id, value);
    remember(tab, id, value);
  };

  // --- modes -----------------------------------------------------------------------------------

  // Gradio makes a field when it is first seen, and an editor draws nothing before its canvas is there.
  const isReady = (id) => {
    const field = easel.byId(id);
    return Boolean(field?.offsetParent) && (!isEditor(id) || Boolean(field.querySelector("canvas")));
  };
  const ready = async (id) => {
    const until = performance.now() + 20000;
    while (!isReady(id) && performance.now() < until) await pause(30);
    await pause(isEditor(id) ? 100 : 0);
  };

  const button = (mode) => easel.byId(`${mode.tab}-button`);
  const current = (tab) =>
    modes(tab).find((mode) => button(mode)?.getAttribute("aria-selected") === "true") ?? modes(tab)[0];

  const open = async (tab, mode) => {
    if (!easel.byId(`tab_${tab}`)?.offsetParent) easel.byId(`tab_${tab}-button`)?.click();
    const until = performance.now() + 10000;
    while (!button(mode) && performance.now() < until) await pause(30);
    button(mode)?.click();
    await ready(mode.canvases[0].id);
  };

  const draw = (tab) => {
    const mode = current(tab);
    const layout = easel.byId(`${tab}_layout`);
    if (!layout || layout.dataset.mode === mode.name) return;
    layout.dataset.mode = mode.name;
    layout.dataset.masks = mode.hasMask ? "yes" : "no";
    easel.local.set(`mode.${tab}`, mode.name);
    const row = document.querySelector(`.easel-copy-row[data-tab=${tab}]`);
    row?.querySelectorAll("button").forEach((one) => (one.hidden = one.dataset.copyTo === mode.name));
    redraw(mode);
    tellSize(tab);
    if (mode.name === "outpaint") atLeast(`${tab}_denoising_strength`, 0.8);
  };

  // A part that is to be drawn anew needs room to change; the slider shows it and can be set back.
  const atLeast = (id, least) => {
    const input = easel.input(id);
    if (!input || Number(input.value) >= least) return;
    input.value = least;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // Presses the shown mode's hidden button for an action: only that mode's pictures travel.
  const press = (tab, action) => {
    easel.canvasKeys.showAll();
    easel.byId(`${tab}_${action}_${current(tab).name}`)?.click();
    return [];
  };
  const generate = (tab) => press(tab, "go");
  for (const id of ["interrogate", "inpaint_interrogate"]) {
    easel.whenThere(id, (button) => (button.title = "Write words for the picture into the prompt (CLIP)"));
  }

  // --- copies and sizes ------------------------------------------------------------------------

  const copy = async (tab, target) => {
    const from = current(tab).canvases[0];
    if (!from) return;
    const value = await get(from.id);
    // Colours belong to the picture; a mask's marks do not.
    const file = from.kind === "mask" ? pictureIn(value) : shown(value);
    if (file) await load(tab, target, file);
  };

  const sizeOf = (file) =>
    new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
      image.onerror = () => resolve(null);
      image.src = file.url;
    });

  // Width and height of the shown picture, in whole latents; `otherwise` where there is none.
  const detect = async (tab, otherwise) => {
    if (!current(tab).canvases.length) return otherwise;
    const file = pictureIn(await get(current(tab).canvases[0].id));
    const size = file && (await sizeOf(file));
    return size ? size.map((side) => Math.max(64, Math.floor(side / 8) * 8)) : otherwise;
  };

  // "from 512×512 to 768×768": what the scale makes of the shown picture.
  const sizes = {};
  const scales = {};
  const tellSize = (tab, scale = scales[tab]) => {
    scales[tab] = scale;
    const place = easel.byId(`${tab}_size_words`);
    const mode = current(tab);
    const size = sizes[mode?.canvases[0]?.id];
    if (!place || !size || !scale || mode.name === "outpaint") return place?.replaceChildren();
    const [width, height] = size.map((side) => Math.floor(Math.floor(side * scale) / 8) * 8);
    const words = `from ${size.join("×")} to ${width}×${height}`;
    if (place.textContent !== words) place.textContent = words;
  };
  const measure = async (tab, id, file) => {
    sizes[id] = file && (await sizeOf(file));
    tellSize(tab);
  };

  // --- files from outside ----------------------------------------------------------------------

  const upload = async (file) => {
    const body = new FormData();
    body.append("files", file, file.name || "picture.png");
    const root = (window.gradio_config?.root ?? "").replace(/\/$/, "");
    const reply = await fetch(`${root}/gradio_api/upload`, { method: "POST", body });
    if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
    const [path] = await reply.json();
    return describe(path, file.name || "picture.png");
  };
  const describe = (path, name) => ({
    path,
    url: `${(window.gradio_config?.root ?? "").replace(/\/$/, "")}/gradio_api/file=${path}`,
    orig_name: name,
    meta: { _type: "gradio.FileData" },
  });

  const shownTab = () => Object.keys(easel.config.modes ?? {}).find((tab) => easel.byId(`tab_${tab}`)?.offsetParent);

  const take = async (file) => {
    const tab = shownTab();
    const shown = current(tab);
    const mode = shown.canvases.length ? shown : modes(tab)[0];
    await load(tab, mode.name, await upload(file));
  };

  // Called by gradio: a picture from a gallery, whose parameters are in the form already.
  let lastParcel = "";
  const receive = (source, target, text) => {
    if (!text || text === lastParcel) return [];
    lastParcel = text;
    const parcel = JSON.parse(text);
    if (parcel.error) easel.results.failed(source, parcel.error);
    else load(target, target, describe(parcel.path, parcel.name)).then(() => scrollTo({ top: 0 }));
    return [];
  };

  // --- what comes back after a reload ----------------------------------------------------------

  const kept = (tab) => easel.local.get(`canvas.${tab}`, {});
  const remember = (tab, id, value) => {
    easel.local.set(`canvas.${tab}`, { ...kept(tab), [id]: value });
    measure(tab, id, pictureIn(value));
  };
  const touched = new Set();

  // Only fields that were changed here are asked: an editor that still loads would seem empty.
  const keep = async (tab, again = 1) => {
    for (const { id } of modes(tab).flatMap((mode) => mode.canvases)) {
      const field = easel.byId(id);
      // Reading shows what is hidden; it is read when it is shown again.
      if (easel.canvasKeys.isHidden(field) || !touched.delete(id) || !field) continue;
      const value = await get(id);
      remember(tab, id, pictureIn(value) ? value : null);
      if (pictureIn(value) || !again) continue;
      touched.add(id);
      keepSoon(tab, 4000, again - 1);
    }
  };
  const timers = {};
  const keepSoon = (tab, ms = 1500, again = 1) => {
    clearTimeout(timers[tab]);
    timers[tab] = setTimeout(() => keep(tab, again), ms);
  };
  const touch = (tab, element) => {
    const id = element.closest?.(".easel-canvas")?.id;
    if (!id) return;
    touched.add(id);
    keepSoon(tab);
  };

  const isThere = async (file) => {
    try {
      return (await fetch(file.url, { method: "HEAD" })).ok;
    } catch {
      return false;
    }
  };

  // Called by gradio when the page loads, before it makes the fields: what each of them held.
  const restored = async (tab) => {
    const values = kept(tab);
    const fields = modes(tab).flatMap((mode) => mode.canvases);
    const found = await Promise.all(
      fields.map(async ({ id }) => {
        const file = pictureIn(values[id]);
        if (!file || !(await isThere(file))) return null;
        measure(tab, id, file);
        if (!isEditor(id)) return values[id];
        if (values[id].layers?.length) drawn.set(id, values[id]);
        return { ...values[id], layers: [], composite: null };
      }),
    );
    setTimeout(() => waiting.delete(tab) && waiting.size === 0 && allRestored(), 0);
    return found;
  };
  // An editor that gets picture and layers at once may lose the layers: these come when it is ready.
  const drawn = new Map();
  const redraw = async (mode) => {
    for (const { id } of mode.canvases) {
      const value = drawn.get(id);
      if (!value) continue;
      drawn.delete(id);
      await ready(id);
      // Asking for its value before the picture is drawn would empty it; Undo tells that it is.
      const isDrawn = () => easel.byId(id)?.querySelector("button[aria-label=Undo]:not([disabled])");
      for (let tries = 200; tries > 0 && !isDrawn(); tries--) await pause(100);
      await pause(300);
      if (!touched.has(id)) put(id, { ...value, composite: null });
      await pause(1500);
      easel.byId(id).dataset.restored = "yes";
    }
  };
  const waiting = new Set(Object.keys(easel.config.modes ?? {}));
  let allRestored;
  const whenRestored = new Promise((resolve) => (allRestored = resolve));

  // --- wiring ----------------------------------------------------------------------------------

  const watch = (tab) => {
    easel.whenThere(`mode_${tab}`, (tabs) => {
      const wanted = modes(tab).find((mode) => mode.name === easel.local.get(`mode.${tab}`, ""));
      if (wanted && wanted !== modes(tab)[0]) button(wanted)?.click();
      new MutationObserver(() => draw(tab)).observe(tabs, {
        subtree: true, attributes: true, attributeFilter: ["aria-selected"],
      });
      draw(tab);
      for (const kind of ["pointerup", "drop", "change"]) {
        tabs.addEventListener(kind, (event) => touch(tab, event.target), true);
      }
    });
  };
  Object.keys(easel.config.modes ?? {}).forEach(watch);

  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-copy-to]");
    if (target) copy(target.closest("[data-tab]").dataset.tab, target.dataset.copyTo);
  });

  const shownField = () => shownTab() && current(shownTab()).canvases[0]?.id;
  const shownEditor = () => {
    const id = shownField();
    return id && isEditor(id) ? easel.byId(id) : null;
  };

  // A picture that is pasted anywhere but into a prompt goes to the shown field.
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file || !shownTab() || event.target.closest?.("textarea, input[type=text], .easel-prompt")) return;
    event.preventDefault();
    event.stopPropagation();
    take(file);
  }, true);

  // A picture of this page, or one that a browser dragged from its own window, goes where it falls.
  const draggedHere = (event) => {
    const field = event.target.closest?.(".easel-canvas");
    const address = event.dataTransfer?.getData("text/uri-list").split("\n")[0];
    if (!field || !address || new URL(address, location.href).origin !== location.origin) return null;
    return { field, address };
  };
  document.addEventListener("dragover", (event) => {
    if (event.target.closest?.(".easel-canvas") && event.dataTransfer.types.includes("text/uri-list")) event.preventDefault();
  }, true);
  document.addEventListener("drop", async (event) => {
    const found = draggedHere(event);
    if (!found) return;
    event.preventDefault();
    event.stopPropagation();
    const reply = await fetch(found.address);
    const name = decodeURIComponent(new URL(found.address, location.href).pathname.split("/").pop());
    if (reply.ok) into(shownTab(), found.field.id, await upload(new File([await reply.blob()], name)));
  }, true);

  return { receive, take, taken, given, get, detect, generate, press, restored, whenRestored, tellSize, shownField, shownEditor, touch: (field) => touch(shownTab(), field) };
})();
