// What looks wrong with a calibration, the gravest first, each with a button where it can be mended.

import { made } from "./new_api.js";

const WORDS = { error: ["bad", "refused"], warning: ["warn", "look"], hint: ["quiet", "hint"] };
const MOST = 40;

/** Lists findings; `point(ids)` hears which cameras one is about, `apply(change)` which change is wanted. */
export function showFindings(element, { document, findings, cameras }, { point, apply }) {
  const names = new Map(cameras.map(({ index, id }) => [index, id]));
  const nameOf = (index) => names.get(index) ?? document.cameras[index]?.id ?? `#${index + 1}`;
  const groups = grouped(findings), hidden = groups.length - MOST;
  const rows = groups.slice(0, MOST).map((group) => row(group, nameOf, { point, apply }));
  const list = made("ul", "findings", ...rows);
  element.replaceChildren(
    made("h3", "", findings.length ? "What was found" : "Nothing looks wrong"),
    ...(findings.length ? [list] : [made("p", "muted", "Units, axes, lenses and overlap are as in a studio.")]),
    ...(hidden > 0 ? [made("p", "muted", `and ${hidden} more`)] : []),
  );
}

/** Findings of one kind about several cameras are one line, mended together. */
function grouped(findings) {
  const groups = new Map();
  for (const finding of findings) {
    const key = finding.cameras.length === 1 && finding.change ? `${finding.severity} ${finding.code} ${finding.change.label}` : finding;
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  return [...groups.values()];
}

function row(group, nameOf, { point, apply }) {
  const [first] = group, [look, word] = WORDS[first.severity];
  const about = [...new Set(group.flatMap(({ cameras }) => cameras))].map(nameOf);
  const sentence = made("span", "", first.sentence);
  const item = made("li", look, made("span", `badge ${look}`, word), made("div", "", sentence));
  const place = [about.length ? about.join(", ") : "", first.at ?? ""].filter(Boolean).join(" · ");
  if (group.length > 1) sentence.append(` So it is with ${group.length} cameras.`);
  if (place) item.lastChild.append(made("p", "muted small clip", place));
  if (first.change) {
    const button = made("button", "", first.change.label);
    button.type = "button";
    button.addEventListener("click", () => apply({ edits: group.flatMap(({ change }) => change.edits) }));
    item.append(button);
  }
  for (const kind of ["pointerenter", "focusin"]) item.addEventListener(kind, () => point(about));
  for (const kind of ["pointerleave", "focusout"]) item.addEventListener(kind, () => point([]));
  return item;
}

/** One line: how many pairs see something together, and which see least. */
export function showOverlap(element, { pairs, cameras }) {
  if (!pairs.length) {
    element.textContent = "";
    return;
  }
  const names = new Map(cameras.map(({ index, id }) => [index, id]));
  const some = pairs.filter(({ overlap }) => overlap > 0).length;
  const least = pairs.reduce((low, pair) => (pair.overlap < low.overlap ? pair : low));
  const [a, b] = least.cameras.map((index) => names.get(index));
  const share = Math.round(100 * least.overlap);
  const weakest = share === 100 ? "all that they could" : `${a} and ${b} least: ${share} % of what they could`;
  element.textContent = `${some} of ${pairs.length} pairs of cameras see something together, ${weakest}.`;
}
