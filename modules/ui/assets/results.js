// What a tab shows of a job: progress and preview while it runs, then pictures and parameters.
"use strict";

easel.results = (() => {
  const shownInfo = {};
  const make = easel.element;

  const text = (id, value) => {
    const place = easel.byId(id);
    if (place && place.textContent !== value) place.textContent = value;
  };

  const seconds = (value) => {
    if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
    const minutes = Math.floor(value / 60);
    return minutes < 60
      ? `${minutes} min ${Math.round(value % 60)} s`
      : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };

  const bytes = (value) =>
    value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(1)} GB` : `${Math.round(value / 2 ** 20)} MB`;

  // --- while a job waits or runs ---------------------------------------------------------------

  const bar = (tab, fraction) => {
    const percent = Math.round(fraction * 100);
    easel.byId(`${tab}_progress`)?.setAttribute("aria-valuenow", percent);
    const line = easel.byId(`${tab}_progress_bar`);
    if (line) line.style.width = `${percent}%`;
  };

  const live = (tab, isShown, caption = "") => {
    const panel = easel.byId(`${tab}_live`);
    if (!panel) return;
    panel.hidden = !isShown;
    text(`${tab}_live_text`, caption);
    if (isShown) return;
    const picture = easel.byId(`${tab}_live_picture`);
    picture.hidden = true;
    picture.removeAttribute("src");
  };

  const preview = (tab, source) => {
    const picture = easel.byId(`${tab}_live_picture`);
    if (!picture) return;
    picture.src = source;
    picture.hidden = false;
    text(`${tab}_live_text`, "");
  };

  const waiting = (tab, before) => {
    bar(tab, 0);
    const words = before ? `waiting: ${before} before it` : "waiting";
    text(`${tab}_progress_text`, words);
    live(tab, true, before ? `Waiting: ${before} before it` : "Waiting …");
  };

  // "step 12/20 · 3.1 s left · job 1 of 3"
  const running = (tab, job, total, isOwn) => {
    bar(tab, job.progress);
    const parts = [];
    if (job.steps) parts.push(`step ${job.step}/${job.steps}`);
    else parts.push(job.text || "starting");
    if (job.passes > 1) parts.push(`pass ${job.pass} of ${job.passes}`);
    if (job.eta_s > 0) parts.push(`${seconds(job.eta_s)} left`);
    if (total > 1) parts.push(`job 1 of ${total}`);
    if (!isOwn) parts.push(job.user ? `job of ${job.user}` : "job from elsewhere");
    text(`${tab}_progress_text`, parts.join(" · "));
    const hasPicture = easel.byId(`${tab}_live_picture`)?.hidden === false;
    live(tab, true, hasPicture ? "" : job.steps ? "Drawing …" : "Starting …");
    if (job.preview) preview(tab, job.preview);
  };

  // On a phone the picture lies above or below what was just touched.
  const reveal = (tab) => {
    if (!matchMedia("(width < 900px)").matches) return;
    easel.byId(`${tab}_gallery_container`)?.scrollIntoView({ block: "center", behavior: "smooth" });
  };

  const idle = (tab, message = "") => {
    bar(tab, 0);
    live(tab, false);
    text(`${tab}_progress_text`, message);
  };

  // --- when it is done -------------------------------------------------------------------------

  const note = (message, kind) => make("p", { className: `easel-note is-${kind}`, textContent: message });

  // A message under the gallery; the pictures that are there stay.
  const failed = (tab, message) => {
    const log = easel.byId(`html_log_${tab}`);
    if (!log) return;
    const line = note(message, "error");
    line.setAttribute("role", "alert");
    log.replaceChildren(line);
  };

  const facts = (info) => {
    const { seconds: taken, memory, files } = info.easel;
    const grids = info.index_of_first_image;
    const parts = [`Time ${seconds(taken)}`];
    if (memory?.peak) parts.push(`peak ${bytes(memory.peak)}`);
    if (memory?.peak && memory?.total) parts[1] += ` of ${bytes(memory.total)}`;
    const count = files.length - grids;
    if (count > 1) parts.push(`${count} pictures${grids ? " and a grid" : ""}`);
    if (info.easel.interrupted) parts.push("interrupted");
    return parts.join(" · ");
  };

  // Called by gradio when a job's pictures came, with the JSON that belongs to them.
  const show = (tab, json) => {
    const info = json ? JSON.parse(json) : null;
    if (!info || info.easel.missing) {
      if (info) easel.jobs.gone(info.easel.job);
      return [];
    }
    shownInfo[tab] = info;
    const log = easel.byId(`html_log_${tab}`);
    const lines = info.easel.warnings.map((warning) => note(warning, "warning"));
    const path = make("p", { className: "easel-note is-path", id: `${tab}_file` });
    log?.replaceChildren(make("p", { className: "easel-note", textContent: facts(info) }), path, ...lines);
    easel.byId(`${tab}_results`)?.classList.add("has-pictures");
    select(tab);
    easel.jobs.shown(info.easel.job);
    return [];
  };

  // The picture that the gallery shows large.
  const index = (tab) => {
    const thumbnails = easel.byId(`${tab}_gallery`)?.querySelectorAll(".thumbnails .thumbnail-item") ?? [];
    const found = [...thumbnails].findIndex((item) => item.classList.contains("selected"));
    return found >= 0 ? found : shownInfo[tab]?.infotexts.length ? 0 : -1;
  };

  const select = (tab) => {
    const info = shownInfo[tab];
    if (!info) return;
    const at = index(tab);
    const panel = easel.byId(`${tab}_infotext`);
    panel.hidden = !info.infotexts[at];
    const place = panel.querySelector("pre");
    if (place.textContent !== (info.infotexts[at] ?? "")) place.textContent = info.infotexts[at] ?? "";
    const file = info.easel.files[at];
    text(`${tab}_file`, file ? `Saved as ${file}` : "Not saved");
  };

  const shown = (tab) => [shownInfo[tab]?.easel.job ?? "", index(tab)];

  const seed = (tab, list, otherwise) => {
    const info = shownInfo[tab];
    if (!info) return otherwise;
    const at = Math.max(0, index(tab) - info.index_of_first_image);
    return info.easel[list]?.[at] ?? otherwise;
  };

  const copy = async (value, button) => {
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(value);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed here";
    }
    setTimeout(() => (button.textContent = said), 1500);
  };

  // Called by gradio: the folder was opened on this machine, or its path is copied.
  let lastFolder = "";
  const folder = (tab, reply) => {
    if (!reply || reply === lastFolder) return [];
    lastFolder = reply;
    const { folder: path, opened } = JSON.parse(reply);
    text(`${tab}_file`, `Folder: ${path}`);
    if (!opened) copy(path, easel.byId(`${tab}_open_folder`));
    return [];
  };

  const download = (id) => {
    let tries = 20;
    const look = () => {
      const link = easel.byId(id)?.querySelector("a[download]");
      if (link) link.click();
      else if (tries-- > 0) setTimeout(look, 50);
    };
    look();
    return [];
  };

  const watch = (tab) => {
    easel.whenThere(`${tab}_gallery`, (gallery) => {
      const options = { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] };
      new MutationObserver(() => select(tab)).observe(gallery, options);
    });
    easel.whenThere(`${tab}_copy_infotext`, (button) => {
      button.addEventListener("click", () => {
        copy(easel.byId(`${tab}_infotext`).querySelector("pre").textContent, button);
      });
    });
  };
  Object.keys(easel.config.tabs).forEach(watch);

  const job = (tab) => shownInfo[tab]?.easel.job;
  return { waiting, running, idle, reveal, failed, show, shown, seed, folder, download, seconds, job };
})();
