// The scripts' fields: what was chosen and typed stays in this browser, and comes from infotexts.
// Gradio makes a script's fields when it is first shown, and lets them act upon each other only
// then; so they are filled then, not before.
"use strict";

easel.scripts = (() => {
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const fields = (tab) => easel.config.scripts[tab].fields;
  const group = (tab, title) => easel.config.scripts[tab].groups[title];
  const wanted = {}; // by tab, by key: what was remembered, or read from an infotext
  const waiting = {}; // by tab: titles of scripts that are still to be filled; "" is the menu itself

  const start = (tab) => {
    wanted[tab] = easel.local.get(`scripts.${tab}`, {});
    const keys = Object.keys(wanted[tab]);
    waiting[tab] = new Set(fields(tab).filter((field) => keys.includes(field.key)).map((field) => field.script));
    for (const title of waiting[tab]) fillWhenThere(tab, title);
  };

  // The menu is there with its button.
  const fillWhenThere = (tab, title) => {
    const press = () => easel.byId(`${tab}_fill_scripts`)?.click();
    easel.whenThere(title ? group(tab, title) : `${tab}_fill_scripts`, () => setTimeout(press));
  };

  // A menu may have lost a name since.
  const isThere = ({ choices }, value) =>
    !choices || (Array.isArray(value) ? value : [value]).every((one) => choices.some((choice) => same(choice, one)));

  const fill = (tab, values) => {
    const now = [...waiting[tab]].filter((title) => !title || easel.byId(group(tab, title)));
    now.forEach((title) => waiting[tab].delete(title));
    return fields(tab).map((field, i) => {
      const value = wanted[tab][field.key];
      const isMeant = now.includes(field.script) && field.key in wanted[tab] && isThere(field, value);
      return isMeant ? value : values[i];
    });
  };

  // Only what differs from the defaults, as for the form; of scripts not filled yet, what they wait for.
  const remember = (tab, values) => {
    const changed = {};
    fields(tab).forEach((field, i) => {
      const value = waiting[tab].has(field.script) ? wanted[tab][field.key] : values[i];
      if (value !== null && value !== undefined && !same(value, field.default)) changed[field.key] = value;
    });
    easel.local.set(`scripts.${tab}`, (wanted[tab] = changed));
    return [];
  };

  // text: JSON of {script, values by key}, or "" where an infotext names no script.
  const pasted = (tab, text) => {
    if (!text) return [];
    const { script, values } = JSON.parse(text);
    Object.assign(wanted[tab], values, { [fields(tab)[0].key]: script });
    for (const title of ["", script]) {
      waiting[tab].add(title);
      fillWhenThere(tab, title);
    }
    return [];
  };

  Object.keys(easel.config.scripts).forEach(start);
  return { fill, remember, pasted };
})();
