// The tab that was open is open again after a reload, once its pictures are back.
"use strict";

easel.whenThere("tabs", async (tabs) => {
  const names = () => [...tabs.querySelectorAll(":scope > .tab-wrapper button[role=tab]")];
  tabs.addEventListener("click", (event) => {
    const pressed = event.target.closest?.("button[role=tab]");
    if (pressed && names().includes(pressed)) easel.session.set("tab", pressed.id);
  });
  const wanted = easel.session.get("tab", "");
  if (!wanted) return;
  await Promise.race([easel.canvas.whenRestored, new Promise((resolve) => setTimeout(resolve, 3000))]);
  names().find((one) => one.id === wanted)?.click();
});
