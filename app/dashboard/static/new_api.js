// Asking the API from a page, and telling its problems where they belong.

import { signIn } from "./app.js";

/** A problem that the API answered: `detail`, `code`, `at`, `status`, `errors`. */
export class Problem extends Error {
  constructor(status, told) {
    super(told.detail ?? `The service answered ${status}.`);
    Object.assign(this, { code: "", at: null, errors: [], ...told, status });
  }
}

/** What the API answers; throws Problem. */
export async function ask(path, { body, headers = {}, method = "POST", signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The service does not answer; try again in a moment." });
  }
  return read(answer.status, await answer.text());
}

export const sendJson = (path, value, headers = {}) =>
  ask(path, { body: JSON.stringify(value), headers: { "Content-Type": "application/json", ...headers } });

/** The document of an answer; throws Problem, and goes to sign in where the key is no longer good. */
export function read(status, text) {
  let content = {};
  try {
    content = text ? JSON.parse(text) : {};
  } catch { /* a proxy in between answers with a page of its own */ }
  if (status === 401) signIn();
  if (status < 200 || status >= 300) throw new Problem(status, content);
  return content;
}

/** Puts a sentence into an element that is hidden without one. */
export function tell(element, sentence) {
  element.textContent = sentence;
  element.hidden = !sentence;
}

/** Shows a problem in `element`, and marks the field of `form` that it is about. */
export function tellProblem(element, problem, form) {
  const places = [problem.at, ...(problem.errors ?? []).map((each) => each.at)].filter(Boolean);
  const fields = [...(form?.querySelectorAll("[data-at]") ?? [])];
  const wrong = fields.filter(({ dataset }) => places.some((at) => at === dataset.at || at.startsWith(`${dataset.at}.`)
    || at.startsWith(`${dataset.at}[`)));
  for (const field of fields) field.toggleAttribute("aria-invalid", false);
  for (const field of wrong) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", element.id);
  }
  tell(element, problem.at && !wrong.length ? `${problem.at}: ${problem.message}` : problem.message);
  wrong[0]?.focus();
}

/** An element with a class and what is in it; texts are text, whatever they hold. */
export function made(name, className = "", ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Bytes for a person. */
export function sizeOf(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
}

/** Calls `take(files)` for what is chosen or dropped; `entries` reads folders too. */
export function filesFrom(zone, inputs, take) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      if (input.files.length) take([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      input.value = "";
    });
  }
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover" || kind === "dragenter");
    });
  }
  zone.addEventListener("drop", async (event) => {
    if (zone.closest("fieldset")?.disabled) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const found = [];
    for (const entry of entries) await walk(entry, found);
    if (found.length) take(found);
  });
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // a hundred at a time
    if (!some.length) return;
    for (const inner of some) await walk(inner, found);
  }
}
