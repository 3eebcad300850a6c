// What every page does: keep itself true, tell times relatively, ask before an act that matters, tell what went wrong.
import { keepTrue } from "./live.js";
import { tellTimes } from "./times.js";

/** Shows a sentence for some seconds, and reads it out; as text, whatever is in it. */
export function notice(sentence, isBad = false) {
  const line = document.createElement("p");
  line.className = isBad ? "notice bad" : "notice";
  line.textContent = sentence;
  document.getElementById("notices").append(line);
  setTimeout(() => line.remove(), isBad ? 12_000 : 5_000);
}

/** The address for signing in and coming back here. */
export function signIn() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** The sentence of a problem, or one that says that none came. */
export function problemOf(text, status) {
  try {
    const problem = JSON.parse(text);
    return problem.at ? `${problem.detail} (${problem.at})` : problem.detail;
  } catch {
    return `The service answered ${status}.`;
  }
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    document.getElementById(opener.dataset.opens)?.showModal();
  } else if (event.target.closest("[data-closes]")) {
    event.target.closest("dialog")?.close();
  }
});

document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
  if (xhr.status === 401) {
    signIn();
  } else {
    notice(problemOf(xhr.responseText, xhr.status), true);
  }
});
document.addEventListener("htmx:sendError", () => notice("The service does not answer; nothing was changed.", true));
// A dialog whose form was answered has done its work.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.successful) {
    detail.elt.closest?.("dialog")?.close();
  }
});
document.addEventListener("htmx:afterSwap", () => tellTimes());

tellTimes();
setInterval(tellTimes, 10_000);
keepTrue(signIn);
