// Parts of a page marked data-live="address" are sent again by the server whenever they change, and morphed in.
//
// A browser holds six connections to a host: only the tab that is looked at keeps one. What the reader is about stays as
// it is: the focus, what is typed, what is unfolded, an open question, and whatever is marked data-keep.
import { tellTimes } from "./times.js";

const AGAIN_MS = 3_000;
const OWN = new URL(import.meta.url).pathname.split("/")[2]; // the digest of the scripts and styles that this page has
const KEPT_OPEN = new Set(["DETAILS", "DIALOG"]);

const newest = new WeakMap(); // the content last given to an element: what was kept from it then may be due later

const isAsking = (node) => node.tagName === "DIALOG" && node.open;
const isTyped = (old, now) => "defaultValue" in old && old.value !== old.defaultValue && old.value !== now.value;

const callbacks = {
  beforeNodeMorphed: (old, now) => !old.dataset?.keep && !isAsking(old) && !isTyped(old, now),
  beforeNodeRemoved: (old) => !isAsking(old),
  beforeAttributeUpdated: (name, element) =>
    !(name === "open" && KEPT_OPEN.has(element.tagName)) && !(name === "tabindex" && element === document.activeElement),
};

/** Puts a new version of its content into an element, changing only what differs. */
export function morph(element, html) {
  const held = document.activeElement, around = held?.closest("section");
  newest.set(element, html);
  window.Idiomorph.morph(element, html, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks });
  window.htmx.process(element);
  tellTimes(element);
  if (held && !held.isConnected) focusOn(around?.isConnected ? around : document.getElementById("main"));
  element.dispatchEvent(new CustomEvent("live:changed", { bubbles: true }));
}

/** What had the focus is gone: whoever uses the keyboard goes on from the section that it was in. */
function focusOn(section) {
  section.tabIndex = -1;
  section.focus({ preventScroll: true });
}

/** A question that was closed is asked anew the next time, about what is there by then. */
function askAnew(element, dialog) {
  for (const form of dialog.querySelectorAll("form")) form.reset();
  if (newest.has(element)) morph(element, newest.get(element));
}

/** Loads the page anew, once, where the service is of another version by now and nobody is busy; tells whether it does. */
function loadsAnew(digest) {
  const seen = sessionStorage.getItem("versions") ?? "";
  if (!digest || digest === OWN || seen.includes(digest)) return false;
  const fields = [...document.querySelectorAll("input, textarea")];
  if (document.querySelector("dialog[open]") || fields.some((field) => field.value !== field.defaultValue)) return false;
  sessionStorage.setItem("versions", `${seen} ${digest}`); // while versions are rolled out, processes differ
  location.reload();
  return true;
}

class Live {
  constructor(element, signIn) {
    Object.assign(this, { element, signIn, source: null, timer: 0 });
    element.addEventListener("close", ({ target }) => askAnew(element, target), true); // it does not bubble
  }

  open() {
    if (this.source || document.hidden || !this.element.isConnected) {
      return;
    }
    this.source = new EventSource(this.element.dataset.live);
    this.source.addEventListener("part", (event) => this.show(event));
    this.source.onopen = () => tellOffline(false);
    this.source.onerror = () => this.failed();
  }

  show({ data, lastEventId }) {
    if (!this.element.isConnected) {
      this.close();
    } else if (!loadsAnew(lastEventId)) {
      morph(this.element, data);
    }
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  /** The browser tries again by itself where the connection broke, but not where the answer was a refusal. */
  async failed() {
    const answer = await fetch("/signed-in").catch(() => null);
    tellOffline(!answer || answer.status >= 500);
    if (answer?.status === 401) {
      this.close();
      this.signIn();
    } else if (this.source?.readyState === EventSource.CLOSED) {
      this.close();
      this.timer = setTimeout(() => this.open(), AGAIN_MS);
    }
  }
}

function tellOffline(isOffline) {
  document.getElementById("offline").hidden = !isOffline;
}

/** Keeps all marked parts of the page true, those too that come later. */
export function keepTrue(signIn) {
  const known = new Map();
  const look = () => {
    for (const [element, live] of known) {
      if (!element.isConnected || live.address !== element.dataset.live) {
        live.close();
        known.delete(element);
      }
    }
    for (const element of document.querySelectorAll("[data-live]")) {
      if (!known.has(element)) {
        const live = new Live(element, signIn);
        live.address = element.dataset.live;
        known.set(element, live);
      }
    }
    for (const live of known.values()) {
      document.hidden ? live.close() : live.open();
    }
  };
  document.addEventListener("visibilitychange", look);
  document.addEventListener("htmx:afterSettle", look);
  window.addEventListener("pagehide", () => known.forEach((live) => live.close()));
  window.addEventListener("pageshow", look);
  look();
}
