// The queue: the number in the header, and the drawer with all jobs of the server.
"use strict";

easel.queue = (() => {
  const make = easel.element;
  let latest = null;
  let newestPreview = { job: "", source: "" }; // the server sends each preview only once

  const list = make("ol", { className: "easel-jobs" });
  const empty = make("p", { className: "easel-jobs-empty", textContent: "Nothing waits and nothing runs." });
  const closer = make("button", { type: "button", className: "easel-close", textContent: "Close", title: "Close (Esc)" });
  const drawer = make(
    "aside",
    { id: "easel_queue", hidden: true },
    make("header", {}, make("h2", { textContent: "Queue" }), closer),
    empty,
    list,
  );
  drawer.setAttribute("aria-label", "Queue");

  const over = make("div", { className: "easel-jobs-over" });
  const past = make("section", { hidden: true }, make("h3", { textContent: "Finished" }), over);
  drawer.append(past);
  let newestOver = null; // the newest of the finished jobs that are shown

  const isOpen = () => !drawer.hidden;
  const setOpen = (open) => {
    drawer.hidden = !open;
    const button = easel.byId("easel_queue_button");
    button?.setAttribute("aria-expanded", String(open));
    if (open) {
      draw();
      closer.focus();
    } else button?.focus();
  };

  const cancel = async (id, button) => {
    button.disabled = true;
    try {
      await easel.request(`jobs/${encodeURIComponent(id)}/cancel`, { body: {} });
    } catch {
      button.disabled = false;
    }
    easel.status.soon();
  };

  const move = async (id, to) => {
    try {
      await easel.request(`jobs/${encodeURIComponent(id)}/move`, { body: { to } });
    } catch {
      // it has begun, or is gone: the next status says so
    }
    easel.status.soon();
  };

  // The server knows jobs of the days before as well; asked for only while somebody looks.
  const remember = async () => {
    const newest = latest?.finished[0]?.id ?? "";
    if (newest === newestOver) return;
    newestOver = newest;
    try {
      const { finished } = await easel.request("jobs");
      over.replaceChildren(...finished.map(overRow));
      past.hidden = finished.length === 0;
    } catch {
      newestOver = null;
    }
  };

  const overRow = (job) => {
    const when = new Date(1000 * (job.finished ?? job.created));
    const isToday = when.toDateString() === new Date().toDateString();
    const time = when.toLocaleString([], isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
    const taken = job.seconds === null ? "" : easel.results.seconds(job.seconds);
    const said = [`#${job.number}`, time, taken, again(job), job.user].filter(Boolean).join(" · ");
    const title = make("b", { textContent: job.prompt || `${job.kind} without a prompt`, title: job.prompt });
    const item = make("div", { className: `is-${job.state}` }, title, make("small", { textContent: said }));
    if (job.state !== "done") {
      const problem = [job.state, job.error].filter(Boolean).join(": ");
      item.append(make("small", { className: "easel-job-state", textContent: problem }));
    }
    return item;
  };

  const again = (job) => (job.attempt > 1 ? "again after a restart" : "");

  const words = (job) => {
    if (job.state === "queued") return "waiting";
    if (job.state !== "running") return [job.state, job.error].filter(Boolean).join(": ");
    const percent = `${Math.round(job.progress * 100)} %`;
    return job.eta_s > 0 ? `${percent} · ${easel.results.seconds(job.eta_s)} left` : percent;
  };

  const row = (job) => {
    const canStop = job.state === "queued" || job.state === "running";
    const item = make("li", { className: `is-${job.state}` });
    item.dataset.job = job.id;
    const picture = make("img", { alt: "", hidden: true });
    const state = make("small", { className: "easel-job-state" });
    const title = make("b", { textContent: job.prompt || `${job.kind ?? "job"} without a prompt`, title: job.prompt ?? "" });
    const said = [`#${job.number}`, job.kind, job.user, again(job)].filter(Boolean).join(" · ");
    const label = make("small", { textContent: said });
    const text = make("div", {}, title, label, state);
    item.append(picture, text);
    if (job.state === "queued") item.append(...MOVES.map((one) => mover(job, one)));
    if (canStop) {
      const button = make("button", { type: "button", textContent: job.state === "queued" ? "Cancel" : "Stop" });
      button.setAttribute("aria-label", `${button.textContent} job ${job.number}`);
      button.addEventListener("click", () => cancel(job.id, button));
      item.append(button);
    }
    return item;
  };

  const MOVES = [
    { to: "front", sign: "⤒", does: "Make it next" },
    { to: "up", sign: "↑", does: "Earlier" },
    { to: "down", sign: "↓", does: "Later" },
  ];
  const mover = (job, { to, sign, does }) => {
    const button = make("button", { type: "button", className: "easel-job-move", textContent: sign, title: does });
    button.setAttribute("aria-label", `${does}: job ${job.number}`);
    button.addEventListener("click", () => move(job.id, to));
    return button;
  };

  // Rows stay in place while their words change, so that focus and clicks do not get lost.
  const draw = () => {
    const { current, queue } = latest ?? { current: null, queue: [] };
    const jobs = [...(current ? [{ ...current, state: "running" }] : []), ...queue];
    const known = new Map([...list.children].map((item) => [`${item.dataset.job} ${item.className}`, item]));
    const rows = jobs.map((job) => {
      const item = known.get(`${job.id} is-${job.state}`) ?? row(job);
      const state = item.querySelector(".easel-job-state");
      const said = words(job);
      if (state.textContent !== said) state.textContent = said;
      const picture = item.querySelector("img");
      if (job.id === newestPreview.job) Object.assign(picture, { src: newestPreview.source, hidden: false });
      return item;
    });
    const isSame = rows.length === list.children.length && rows.every((item, i) => item === list.children[i]);
    if (!isSame) {
      const focused = document.activeElement;
      list.replaceChildren(...rows);
      if (list.contains(focused)) focused.focus(); // a row that moved takes its button along
    }
    empty.hidden = jobs.length > 0;
    remember();
  };

  const update = (status) => {
    latest = status;
    const { current } = status;
    if (current?.preview) newestPreview = { job: current.id, source: current.preview };
    const count = status.queue.length + (status.current ? 1 : 0);
    const place = easel.byId("easel_queue_count");
    if (place && place.textContent !== String(count)) place.textContent = String(count);
    easel.byId("easel_queue_button")?.classList.toggle("has-jobs", count > 0);
    if (isOpen()) draw();
  };

  easel.whenThere("easel_queue_button", (button) => {
    (document.querySelector(".gradio-container") ?? document.body).append(drawer);
    button.addEventListener("click", () => setOpen(!isOpen()));
    closer.addEventListener("click", () => setOpen(false));
  });
  return { update, isOpen, close: () => setOpen(false) };
})();
