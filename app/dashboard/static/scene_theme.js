// The page's own colours, as numbers that WebGL takes: whatever CSS writes them in, and in light or dark.

const NAMES = ["card", "ink", "muted", "line", "accent", "good", "warn", "bad"];

/** The tokens of app.css as they are for `element` at this moment: {ink: 0x1a1a1a, …}. */
export function readColours(element) {
  const probe = element.ownerDocument.createElement("span");
  const pixel = element.ownerDocument.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.hidden = true;
  element.append(probe);
  const colours = {};
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`;
    pixel.fillStyle = getComputedStyle(probe).color;
    pixel.fillRect(0, 0, 1, 1);
    const [red, green, blue] = pixel.getImageData(0, 0, 1, 1).data;
    colours[name] = (red << 16) | (green << 8) | blue;
  }
  probe.remove();
  return colours;
}

/** Call `changed` whenever the page turns light or dark; answers a function that ends it. */
export function onThemeChange(changed) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const attributes = new MutationObserver(changed);
  attributes.observe(document.documentElement, { attributes: true, attributeFilter: ["class", "data-theme"] });
  dark.addEventListener("change", changed);
  return () => {
    attributes.disconnect();
    dark.removeEventListener("change", changed);
  };
}
