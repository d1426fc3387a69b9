// Asks the server how it is doing, again and again, and hands the answer to those who show it.
"use strict";

easel.status = (() => {
  const IDLE_MS = 1000;
  const HIDDEN_MS = 4000;
  const EAGER_MS = 250;
  const EAGER_FOR_MS = 5000;
  const LONGEST_MS = 10000;
  const TIMEOUT_MS = 8000;
  let timer = 0;
  let failures = 0;
  let previewId = -1;
  let previewJob = "";
  let eagerUntil = 0;
  let isAsking = false;

  const period = () => {
    if (failures) return Math.min(LONGEST_MS, IDLE_MS * 2 ** (failures - 1));
    if (performance.now() < eagerUntil) return EAGER_MS;
    if (document.hidden) return HIDDEN_MS;
    if (!easel.jobs.isBusy()) return IDLE_MS;
    return Math.min(IDLE_MS / 2, easel.settings.live_preview_refresh_period);
  };

  const ask = async () => {
    if (isAsking) return;
    isAsking = true;
    clearTimeout(timer);
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      take(await easel.request(`status?preview_id=${previewId}`, { signal }));
      failures = 0;
      connection("");
    } catch (error) {
      failures++;
      if (error.status === 401) connection("logged out: reload the page");
      else if (failures > 1) connection("connection lost, retrying …");
    } finally {
      isAsking = false;
      timer = setTimeout(ask, period());
    }
  };

  const take = (status) => {
    const { current } = status;
    if (current && current.id !== previewJob) {
      previewJob = current.id;
      previewId = -1;
    }
    if (current) previewId = current.preview_id;
    model(status.model);
    easel.jobs.update(status);
    easel.queue.update(status);
  };

  const connection = (message) => {
    const place = easel.byId("easel_connection");
    if (!place) return;
    place.hidden = message === "";
    if (place.textContent !== message) place.textContent = message;
    document.body.classList.toggle("easel-is-offline", message !== "");
  };

  const model = ({ state, text, fraction }) => {
    const place = easel.byId("easel_model_state");
    if (!place) return;
    const said = state === "ready" ? `ready · ${text.replace(/^ready · /, "")}` : text || state;
    if (place.textContent !== said) place.textContent = said;
    place.dataset.state = state;
    place.style.setProperty("--easel-fraction", state === "loading" ? fraction : 0);
    place.title = said;
  };

  // Asks at once and often for a while: something was just started or stopped.
  const soon = () => {
    eagerUntil = performance.now() + EAGER_FOR_MS;
    ask();
  };

  document.addEventListener("visibilitychange", () => document.hidden || ask());
  window.addEventListener("online", ask);
  const [firstTab] = Object.keys(easel.config.tabs);
  easel.whenThere(`${firstTab}_load_result`, ask);
  return { soon };
})();
