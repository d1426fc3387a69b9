// The tab that was open is open again after a reload.
"use strict";

easel.whenThere("tabs", (tabs) => {
  const names = () => [...tabs.querySelectorAll(":scope > .tab-wrapper button[role=tab]")];
  const wanted = easel.session.get("tab", "");
  const button = wanted && names().find((one) => one.id === wanted);
  if (button) button.click();
  tabs.addEventListener("click", (event) => {
    const pressed = event.target.closest?.("button[role=tab]");
    if (pressed && names().includes(pressed)) easel.session.set("tab", pressed.id);
  });
});
