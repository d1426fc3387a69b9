// Which jobs this page follows. Jobs belong to the server: a reload or a second page finds them.
"use strict";

easel.jobs = (() => {
  const REMEMBERED = 50;
  const user = () => window.gradio_config?.username ?? "";
  const tabs = () => Object.keys(easel.config.tabs);
  // Jobs that this tab of the browser submitted and that are not over: [{id, tab}], oldest first.
  let own = easel.session.get("jobs", []);
  let submittedHere = easel.session.get("submitted", []);
  // A running job of another page or of the API, shown because nothing else is.
  let attached = null;
  let wantedId = "";
  let lastReply = "";
  let isStarted = false;

  const target = () => own[0] ?? attached;
  const followed = () => target()?.id ?? "";
  const wanted = () => wantedId;

  const setOwn = (jobs) => {
    own = jobs;
    easel.session.set("jobs", own);
  };

  // --- submitting and stopping -----------------------------------------------------------------

  const say = (tab, message) => {
    const place = easel.byId(`${tab}_error`)?.querySelector("[role=alert]");
    if (place && place.textContent !== message) place.textContent = message;
    easel.config.tabs[tab].forEach((field) => easel.form.mark(field.id, false));
  };

  // Called by gradio after each press of Generate; an unchanged reply means that the call failed.
  const submitted = (tab, text) => {
    if (!text || text === lastReply) {
      say(tab, "The server could not take the job; its log says why. Nothing was queued.");
      return [];
    }
    lastReply = text;
    const reply = JSON.parse(text);
    say(tab, reply.error ?? "");
    if (reply.field) easel.form.mark(reply.field, true);
    if (!reply.job) return [];
    setOwn([...own, { id: reply.job, tab }]);
    submittedHere = [...submittedHere, reply.job].slice(-REMEMBERED);
    easel.session.set("submitted", submittedHere);
    easel.local.set("last", reply.job);
    easel.local.set("lastTab", tab);
    attached = null;
    if (own.length === 1) easel.results.waiting(tab, 0);
    easel.results.reveal(tab);
    draw();
    easel.status.soon();
    return [];
  };

  const stopping = (text) => {
    const job = target();
    if (!text || !job) return [];
    document.body.classList.toggle("easel-is-stopping", text.startsWith("stopping"));
    easel.status.soon();
    return [];
  };

  // --- following -------------------------------------------------------------------------------

  const mayAttach = (job) => {
    const tab = job.kind;
    if (!tabs().includes(tab) || job.user !== user()) return false;
    return !submittedHere.includes(easel.results.job(tab));
  };

  const update = (status) => {
    if (!isStarted) start(status);
    const { current, queue } = status;
    if (!target() && current && mayAttach(current)) attached = { id: current.id, tab: current.kind };
    const job = target();
    if (job) look(job, status, (current ? 1 : 0) + queue.length);
    draw(current);
  };

  const look = (job, { current, queue, finished }, total) => {
    const place = queue.findIndex((waiting) => waiting.id === job.id);
    const over = finished.find((done) => done.id === job.id);
    if (current?.id === job.id) easel.results.running(job.tab, current, total, job !== attached);
    else if (place >= 0) easel.results.waiting(job.tab, place + (current ? 1 : 0));
    else if (over) finish(job, over);
    else ask(job);
  };

  // A job that is in no list: over for long, or lost with a restart of the server.
  const ask = async (job) => {
    try {
      const found = await easel.request(`jobs/${encodeURIComponent(job.id)}`);
      if (["done", "failed", "cancelled", "lost"].includes(found.state)) finish(job, found);
    } catch (error) {
      if (error.status === 404) {
        finish(job, { state: "failed", error: "This job is gone: the server was restarted." });
      }
    }
  };

  const finish = (job, { state, error }) => {
    if (target()?.id !== job.id) return;
    if (own[0]?.id === job.id) setOwn(own.slice(1));
    else attached = null;
    document.body.classList.remove("easel-is-stopping");
    if (state === "done") return load(job);
    if (state === "failed" || state === "lost") easel.results.failed(job.tab, error ?? "The job failed.");
    if (!target()) easel.results.idle(job.tab, state);
  };

  // Asks gradio for the pictures; the preview stays until they come.
  const load = ({ id, tab }) => {
    easel.whenThere(`${tab}_load_result`, (button) => {
      wantedId = id;
      button.click();
    });
    setTimeout(() => target() || easel.results.idle(tab), 4000);
  };

  const shown = (id) => {
    easel.local.set("last", id);
    if (!target()) tabs().forEach((tab) => easel.results.idle(tab));
  };

  const gone = () => target() || tabs().forEach((tab) => easel.results.idle(tab));

  // The first answer after the page was opened: the last pictures come back.
  const start = (status) => {
    isStarted = true;
    const last = easel.local.get("last", "");
    const isKnown = own.some((job) => job.id === last);
    const done = status.finished.find((job) => job.id === last && job.state === "done");
    const tab = tabs().find((name) => name === easel.local.get("lastTab", "")) ?? tabs()[0];
    if (last && !isKnown && done) load({ id: last, tab });
  };

  // --- what the buttons and the window's title say ---------------------------------------------

  const draw = (current = null) => {
    const job = target();
    document.body.classList.toggle("easel-is-busy", Boolean(job));
    for (const tab of tabs()) {
      for (const name of ["interrupt", "skip"]) {
        const button = easel.byId(`${tab}_${name}`);
        if (button) button.disabled = !job;
      }
    }
    const isRunning = job && current?.id === job.id;
    const percent = isRunning ? `${Math.round(current.progress * 100)} % · ` : job ? "… · " : "";
    const left = isRunning && current.eta_s > 0 ? `${easel.results.seconds(current.eta_s)} · ` : "";
    const title = `${percent}${left}Easel`;
    if (document.title !== title) document.title = title;
  };

  return { submitted, stopping, update, followed, wanted, shown, gone, isBusy: () => Boolean(target()) };
})();
