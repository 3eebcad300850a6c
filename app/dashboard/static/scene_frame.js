// The scene's place in the page: a canvas with labels over it, buttons, and a line that says what is seen.

export const NO_WEBGL = "This browser shows no 3D (WebGL 2 is missing or turned off). The cameras are in the table on this page.";
export const LOST = "The browser took the 3D view away, for want of graphics memory. It comes back by itself, or when the page is loaded again.";
const HINT = "3D view. Drag turns it, the wheel or two fingers zoom, the right button or Shift and the arrow keys move it; "
  + "arrow keys turn, plus and minus zoom, 0 shows everything.";
const BUTTONS = [["in", "+", "Zoom in"], ["out", "−", "Zoom out"], ["all", "Fit", "Fit everything"], ["above", "Top", "Top view"]];

function child(parent, tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  parent.append(element);
  return element;
}

/** The stylesheet comes with the module, so that a page which mounts a scene need not know of it. */
function addStyles() {
  const href = new URL("./scene.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
}

/** Build the frame inside `element`, which becomes focusable and told to screen readers as one thing. */
export function frameOf(element) {
  addStyles();
  element.classList.add("scene");
  element.tabIndex = 0;
  element.setAttribute("role", "group");
  element.setAttribute("aria-roledescription", "3D view");
  if (!element.hasAttribute("aria-label")) element.setAttribute("aria-label", "Cameras and capture volume in 3D");
  const stage = child(element, "div", "scene-stage");
  const canvas = child(stage, "canvas", "scene-canvas");
  const labels = child(stage, "div", "scene-labels");
  for (const hidden of [canvas, labels]) hidden.setAttribute("aria-hidden", "true");
  canvas.title = HINT;
  const hint = child(element, "p", "only-read", HINT);
  hint.id = `${element.id || "scene"}-hint`;
  element.setAttribute("aria-describedby", hint.id);
  const message = child(stage, "p", "scene-message");
  message.setAttribute("role", "status");
  const bar = child(element, "div", "scene-bar");
  const words = child(bar, "p", "scene-words");
  const buttons = child(bar, "div", "scene-buttons");
  return {
    canvas, labels, stage,
    say: (text) => { message.textContent = text; },
    tell: (text) => { words.textContent = text; },
    onButton: (acts) => BUTTONS.forEach(([name, text, title]) => {
      const button = Object.assign(child(buttons, "button", "scene-button", text), { type: "button", title });
      button.setAttribute("aria-label", title);
      button.addEventListener("click", acts[name]);
    }),
    remove: () => [stage, hint, bar].forEach((part) => part.remove()),
  };
}
