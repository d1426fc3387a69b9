// What a card does to a prompt's text: put its tag or name in, find it, take it out again.
"use strict";

easel.cardText = (() => {
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  // Where a card stands in a text: its tag with any weight and what follows it, or its bare name.
  const pattern = (card) => {
    const tag = /^<(\w+):([^:>]+)[^>]*>(?: ([\s\S]+))?$/.exec(card.prompt);
    const name = escaped(card.prompt);
    if (!tag) return new RegExp(`(^|[\\s,(\\[{|])(?:\\(${name}:[\\d.]+\\)|${name})(?=$|[\\s,:)\\]}|])`);
    const words = tag[3] ? `(?: ${escaped(tag[3])})?` : "";
    return new RegExp(`(^|[\\s,]?)<${tag[1]}:${escaped(tag[2])}(?::[^>]*)?>${words}`);
  };

  const isIn = (text, card) => card.prompt !== "" && pattern(card).test(text);

  const without = (text, words) => {
    const at = words ? text.indexOf(words) : -1;
    return at < 0 ? text : tidy(text.slice(0, at), text.slice(at + words.length));
  };

  // What stood around something that was taken out: one separator stays, not two.
  const tidy = (before, after) => {
    const rest = after.replace(/^[ \t]*,?[ \t]*/, "");
    const start = before.replace(/[ \t]+$/, "");
    if (!start || !rest) return start ? start.replace(/,$/, "") : rest;
    if (start.endsWith("\n") || rest.startsWith("\n")) return start + rest;
    return `${start}${!start.endsWith(",") && after.trimStart().startsWith(",") ? ", " : " "}${rest}`;
  };

  const added = (text, words, separator) => (text.trim() ? text.trimEnd() + separator + words : words);

  // The text with the card put in, or taken out where it is in already.
  const toggled = (text, card, separator) => {
    const found = pattern(card).exec(text);
    if (!found) return added(text, card.prompt, separator);
    const kept = /[([{|]/.test(found[1]) ? found[1].length : 0;
    return tidy(text.slice(0, found.index + kept), text.slice(found.index + found[0].length));
  };

  return { toggled, isIn, added, without };
})();
