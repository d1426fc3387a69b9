// Dropping a picture on the page, or pasting a picture file into a prompt, reads its parameters.
// Fields that take pictures themselves keep what is dropped on them.
"use strict";

easel.drop = (() => {
  const OWN = "[data-testid=image], .image-container, .easel-takes-pictures, input[type=file]";
  let pending = "";
  let depth = 0;

  const tab = () => {
    const tabs = Object.keys(easel.config.tabs);
    return tabs.find((name) => easel.byId(`tab_${name}`)?.offsetParent !== null) ?? tabs[0];
  };

  const carriesPicture = (event) => {
    const types = [...(event.dataTransfer?.types ?? [])];
    if (types.includes("Files")) return true;
    return types.includes("text/uri-list") && Boolean(event.target.closest?.(".easel-prompt"));
  };
  const isOurs = (event) => carriesPicture(event) && !event.target.closest?.(OWN);

  const base64 = (blob) =>
    new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(blob);
    });

  // The text or picture that was dropped: {blob, name}, or null.
  const dropped = async (data) => {
    const address = data.getData("text/uri-list").split("\n")[0];
    const url = address ? new URL(address, location.href) : null;
    if (url?.origin === location.origin) {
      const reply = await fetch(url);
      if (reply.ok) return { blob: await reply.blob(), name: url.pathname.split("/").pop() };
    }
    const file = [...data.files].find((one) => one.type.startsWith("image/")) ?? data.files[0];
    return file ? { blob: file, name: file.name } : null;
  };

  const ask = async ({ blob, name }) => {
    if (!blob.type.startsWith("image/")) return { error: `${name} is no picture.` };
    try {
      const { info, program, not_mapped } = await easel.request("png-info", { body: { image: await base64(blob) } });
      return { infotext: info, program, not_mapped, name };
    } catch (error) {
      return { error: `${name} cannot be read. ${error.detail ?? ""}`.trim() };
    }
  };

  // A tab without prompts has nothing to read parameters into: the picture itself is taken there.
  const hasForm = () => Boolean(easel.byId(`${tab()}_read_picture`) ?? !easel.config.modes?.[tab()]);

  // The server's answer goes through gradio, which fills the form and shows the notices.
  const read = async (picture) => {
    if (!hasForm()) return picture.blob.type.startsWith("image/") && easel.canvas.take(new File([picture.blob], picture.name));
    const place = tab();
    document.body.classList.add("easel-is-reading");
    pending = JSON.stringify(await ask(picture));
    document.body.classList.remove("easel-is-reading");
    easel.byId(`${place}_read_picture`)?.click();
  };

  const show = (isShown) => document.body.classList.toggle("easel-is-dropping", isShown);

  document.addEventListener("dragenter", (event) => {
    if (!carriesPicture(event)) return;
    depth += 1;
    show(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!carriesPicture(event)) return;
    depth = Math.max(0, depth - 1);
    if (!depth || event.relatedTarget === null) {
      depth = 0;
      show(false);
    }
  });
  document.addEventListener("dragover", (event) => {
    if (!isOurs(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  }, true);
  document.addEventListener("drop", async (event) => {
    depth = 0;
    show(false);
    if (!isOurs(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const picture = await dropped(event.dataTransfer);
    if (picture) read(picture);
  }, true);
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file?.type.startsWith("image/") || !event.target.closest?.(".easel-prompt")) return;
    if (event.clipboardData.getData("text/plain")) return;
    event.preventDefault();
    read({ blob: file, name: file.name });
  }, true);

  return { pending: () => pending, read };
})();
