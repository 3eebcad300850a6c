// What every page does: keep itself true, tell times relatively, ask before an act that matters, tell what went wrong.
import { keepTrue, morph } from "./live.js";
import { tellTimes } from "./times.js";

/** Shows a sentence for some seconds, and reads it out; as text, whatever is in it. */
export function notice(sentence, isBad = false) {
  const line = document.createElement("p");
  line.className = isBad ? "notice bad" : "notice";
  line.textContent = sentence;
  const question = document.querySelector("dialog[open]"); // what is behind an open one is dim, and not read out
  if (question) line.setAttribute("role", "alert");
  (question ?? document.getElementById("notices")).append(line);
  setTimeout(() => line.remove(), isBad ? 12_000 : 5_000);
}

/** The address for signing in and coming back here. */
export function signIn() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** The sentence of a problem, or one that says that none came. */
export function problemOf(text, status) {
  try {
    const { detail, at } = JSON.parse(text);
    if (detail) return at ? `${detail} (${at})` : detail;
  } catch { /* a proxy in between answers with a page of its own */ }
  return `The service answered ${status}.`;
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    document.getElementById(opener.dataset.opens)?.showModal();
  } else if (event.target.closest("[data-closes]")) {
    event.target.closest("dialog")?.close();
  }
});

// An act is sent once, however often it is pressed, until it is answered or the page is come back to.
let sent = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (sent.has(form)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
  sent.add(form);
}, true);
document.addEventListener("htmx:afterRequest", ({ detail }) => sent.delete(detail.elt));
addEventListener("pageshow", () => { sent = new WeakSet(); });

document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
  if (xhr.status === 401) {
    signIn();
  } else {
    notice(problemOf(xhr.responseText, xhr.status), true);
  }
});
document.addEventListener("htmx:sendError", () => notice("The service does not answer; whether it was done shows when it does.", true));
// An act is answered with what its part of the page shows now; the stream would bring the same a moment later.
document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful, xhr } }) => {
  if (!successful || !elt.matches?.("form[data-part]")) return;
  const part = elt.closest("[data-live]");
  elt.closest("dialog")?.close();
  elt.reset();
  if (part) morph(part, xhr.responseText);
  notice(elt.dataset.part);
});
document.addEventListener("htmx:afterSwap", () => tellTimes());

tellTimes();
setInterval(tellTimes, 10_000);
keepTrue(signIn);
