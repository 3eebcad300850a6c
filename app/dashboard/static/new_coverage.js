// What the labels of a capture cover: one line a camera, and in words what is thin.

import { made } from "./new_api.js";

const THIN = 0.25, AWAY = 0.9; // as the service warns

export function showCoverage(element, capture) {
  const { cameras, distinct_poses: poses, frames_with_two_views: usable } = capture.coverage;
  const summary = `${capture.frames} frames with ${capture.labelled_joints.toLocaleString()} labelled joints; `
    + `${poses} distinct poses, ${usable} frames seen by two cameras or more.`;
  const most = Math.max(1, ...Object.values(cameras).map(({ labelled }) => labelled));
  const rows = Object.entries(cameras).map(([id, told]) => row(id, told, most));
  const head = made("tr", "", ...["Camera", "Labels", "", "Hidden", "Of its view", "", ""].map((text, index) => {
    const cell = made(text ? "th" : "td", [1, 3, 4].includes(index) ? "num" : "", text);
    if (!text) return cell;
    cell.scope = "col";
    return cell;
  }));
  const table = made("table", "data coverage", made("caption", "", summary), made("thead", "", head), made("tbody", "", ...rows));
  const told = capture.warnings.length
    ? made("ul", "findings", ...capture.warnings.map(thin))
    : made("p", "", made("span", "badge good", "enough"), " Every camera is covered.");
  element.replaceChildren(made("h3", "", "What the labels cover"), made("div", "scroll", table), told);
}

function row(id, told, most) {
  const name = made("th", "", id);
  name.scope = "row";
  return made("tr", "", name,
    made("td", "num", String(told.labelled)), made("td", "", bar(told.labelled / most, `${told.labelled} labels`)),
    made("td", "num", String(told.hidden)),
    made("td", "num", `${Math.round(100 * told.view_covered)} %`), made("td", "", bar(told.view_covered, "of the view is covered")),
    made("td", "muted", wordsFor(told)));
}

function thin(sentence) {
  return made("li", "warn", made("span", "badge warn", "thin"), made("span", "", sentence));
}

function wordsFor({ labelled, inside_view: inside, view_covered: covered }) {
  if (!labelled) return "no labels";
  if (covered < THIN) return "thin: label people elsewhere in its view";
  return inside < AWAY ? `${Math.round(100 * (1 - inside))} % lie outside its view` : "";
}

function bar(share, words) {
  const element = made("progress");
  element.max = 1;
  element.value = share;
  element.setAttribute("aria-label", words);
  return element;
}
