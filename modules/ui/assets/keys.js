// Keys: Ctrl+Enter generate, Esc interrupt, Alt+Enter skip, Ctrl+Up/Down weight,
// Alt+Left/Right move a part of the prompt, / focus the prompt.
"use strict";

(() => {
  const tab = () => Object.keys(easel.config.tabs).find((name) => easel.byId(`tab_${name}`)?.offsetParent !== null) ?? Object.keys(easel.config.tabs)[0];
  const isTyping = (target) => target.matches?.("input:not([type=range], [type=checkbox], [type=radio]), textarea, [contenteditable]");
  const isPrompt = (target) => target.matches?.("textarea") && target.closest("[id$=_prompt]");
  const press = (name) => easel.byId(`${tab()}_${name}`)?.click();

  const escape = (event) => {
    if (easel.dialog.isOpen()) return easel.dialog.close();
    if (easel.queue.isOpen()) return easel.queue.close();
    // An open menu or full-screen picture closes itself; nothing else happens.
    if (document.fullscreenElement || document.querySelector("ul.options, [role=listbox]")) return;
    if (!easel.jobs.isBusy()) return;
    event.preventDefault();
    press("interrupt");
  };

  const ACTIONS = [
    { when: (e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && !e.altKey, act: () => press("generate") },
    { when: (e) => e.key === "Enter" && e.altKey, act: () => press("skip") },
    {
      when: (e) => (e.key === "ArrowUp" || e.key === "ArrowDown") && (e.ctrlKey || e.metaKey) && !e.altKey && isPrompt(e.target),
      act: (e) => easel.prompt.changeWeight(e.target, e.key === "ArrowUp" ? 1 : -1),
    },
    {
      when: (e) => (e.key === "ArrowLeft" || e.key === "ArrowRight") && e.altKey && !e.ctrlKey && isPrompt(e.target),
      act: (e) => easel.prompt.movePart(e.target, e.key === "ArrowRight" ? 1 : -1),
    },
    {
      when: (e) => e.key === "/" && !e.ctrlKey && !e.altKey && !e.metaKey && !isTyping(e.target),
      act: () => easel.input(`${tab()}_prompt`)?.focus(),
    },
  ];

  // In the capturing phase: gradio's own fields must not take Ctrl+Enter for a new line first.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") return escape(event);
      const action = ACTIONS.find(({ when }) => when(event));
      if (!action) return;
      event.preventDefault();
      event.stopPropagation();
      // A typed number counts only once its field hears of it.
      if (event.key === "Enter" && event.target.matches?.("input[type=number]")) {
        event.target.dispatchEvent(new Event("change", { bubbles: true }));
        event.target.blur();
      }
      action.act(event);
    },
    true,
  );

  // Small buttons that are only a sign carry their meaning as a tooltip and a name.
  const NAMES = {
    refresh_sd_model_checkpoint: "Look for checkpoint files again",
    paste: "Read parameters from the prompt, or those of the last picture if it is empty",
    ...Object.fromEntries(
      Object.keys(easel.config.tabs).flatMap((name) => [
        [`${name}_style_apply`, "Write the chosen styles into the prompts"],
        [`${name}_styles_edit_button`, "Save, change and delete styles"],
        [`refresh_${name}_styles`, "Read the styles' files again"],
        [`${name}_style_copy`, "Take the prompts of the form"],
        [`${name}_clear_prompt`, "Clear both prompts"],
        [`${name}_paste`, "Read parameters from the prompt, or those of the last picture if it is empty"],
        [`${name}_send_to_img2img`, "Take this picture and its parameters to img2img"],
        [`${name}_send_to_inpaint`, "Take this picture and its parameters to Inpaint"],
        [`${name}_send_to_extras`, "Take this picture to Extras, to make it larger"],
        [`${name}_generate`, "Generate (Ctrl+Enter)"],
        [`${name}_interrupt`, "Stop the job (Esc); of several pictures, the one at hand is finished"],
        [`${name}_interrupting`, "Press again to stop at once"],
        [`${name}_skip`, "Give up the picture at hand and go on with the next (Alt+Enter)"],
        [`save_${name}`, "Keep the shown picture: copy it to the folder of kept pictures"],
        [`save_zip_${name}`, "Download all pictures of this job as one archive"],
        [`${name}_open_folder`, "Open the folder with these pictures; from another machine, copy its path"],
      ]),
    ),
    ...(easel.config.tooltips ?? {}),
  };
  for (const [id, name] of Object.entries(NAMES)) {
    easel.whenThere(id, (block) => {
      const button = block.matches("button") ? block : (block.querySelector("button") ?? block);
      button.title = name;
    });
  }
})();
