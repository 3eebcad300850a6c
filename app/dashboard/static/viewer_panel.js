// What is told of a frame beside its tiles: words, figures, joints as a table, and people in space.

import { mountScene } from "./scene.js";

const FIGURES = [
  ["found", "labelled joints found"],
  ["label_px", "off the labels, median px"],
  ["reprojection_px", "views disagree by, median px"],
  ["views_used", "views behind a joint, mean"],
];

export class Panel {
  /** `heard.joint(joint|null)` hears which joint's row is looked at, `heard.choose(joint)` which one is chosen. */
  constructor(space, heard) {
    this.space = space;
    this.heard = heard;
    this.words = document.getElementById("words");
    this.figures = document.getElementById("figures");
    this.table = document.querySelector("#joints tbody");
  }

  show(frame, chosen) {
    const told = frame.document;
    this.words.textContent = told.words;
    const fusion = { none: "Not fused", epipolar: "Fused along the calibrated epipolar lines" }[told.checkpoint];
    document.getElementById("fused-with").textContent = fusion ?? `Fused with ${told.checkpoint}`;
    this.figures.replaceChildren(...FIGURES.flatMap(([name, words]) => figureRow(words, told.figures[name], name, told.figures.labelled)));
    this.table.replaceChildren(...told.joints.map((_, joint) => this.row(told, joint)));
    this.table.parentElement.classList.toggle("is-unlabelled", !told.joints2d.labels);
    this.choose(chosen);
    this.inSpace(told);
  }

  choose(joint) {
    [...this.table.rows].forEach((row, index) => {
      row.classList.toggle("is-chosen", index === joint);
      row.querySelector("button").setAttribute("aria-pressed", String(index === joint));
    });
  }

  inSpace(told) {
    const kinds = ["labels", "before", "after"].filter((kind) => told.joints3d[kind] && document.getElementById(`show-${kind}`).checked);
    const skeletons = kinds.map((kind) => ({ kind, joints: told.joints3d[kind], limbs: told.limbs }));
    const cameras = told.cameras;
    const same = JSON.stringify([cameras.map(({ id, R, t }) => [id, R, t])]);
    if (!this.scene) this.scene = mountScene(document.getElementById("scene"), { ...this.space, cameras, skeletons });
    else if (same !== this.cameras) this.scene.setRig({ ...this.space, cameras, skeletons });
    else this.scene.setSkeletons(skeletons);
    this.cameras = same;
  }

  row(told, joint) {
    const row = document.createElement("tr"), head = document.createElement("th");
    const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: named(told, joint) });
    head.scope = "row";
    head.append(button);
    button.addEventListener("click", () => this.heard.choose(joint));
    for (const event of ["focus", "pointerenter"]) button.addEventListener(event, () => this.heard.joint(joint));
    for (const event of ["blur", "pointerleave"]) button.addEventListener(event, () => this.heard.joint(null));
    const { before, after } = told.reprojection_px;
    const changes = told.changes.filter(({ number }) => number === joint);
    row.append(head, change(before[joint], after[joint], 1), change(told.views_used.before[joint], told.views_used.after[joint], 0),
      change(offLabels(told, "before", joint), offLabels(told, "after", joint), 1), cell(inWords(changes) || "–"));
    return row;
  }
}

function named(told, joint) {
  return told.joints[joint].replaceAll("_", " ");
}

/** Such as "found in cam02, cam03; lost in cam04". */
function inWords(changes) {
  const told = Object.entries({ gained: "found", lost: "lost", moved: "moved" }).map(([kind, word]) => {
    const cameras = changes.filter((one) => one.kind === kind).map(({ camera }) => camera);
    return cameras.length ? `${word} in ${cameras.join(", ")}` : "";
  });
  return told.filter(Boolean).join("; ");
}

/** How far a joint is from its labels, on average over the cameras that have one, in raw image pixels. */
function offLabels(told, when, joint) {
  const away = told.cameras.flatMap(({ K, view }, camera) => {
    const label = told.joints2d.labels?.[camera][joint], point = told.joints2d[when][camera][joint];
    const pixel = Math.sqrt(K[0][0] * K[1][1]) / Math.hypot(view.K[0][0], view.K[1][0]);
    return label && point ? [pixel * Math.hypot(label[0] - point[0], label[1] - point[1])] : [];
  });
  return away.length ? away.reduce((sum, value) => sum + value, 0) / away.length : null;
}

function figureRow(words, figure, name, labelled) {
  if (!figure) return [];
  const row = document.createElement("tr"), head = Object.assign(document.createElement("th"), { scope: "row", textContent: words });
  const told = (value) => (value === null ? "–" : name === "found" ? `${value} of ${labelled}` : value.toFixed(name === "found" ? 0 : 1));
  row.append(head, cell(told(figure.before), "num"), cell(told(figure.after), "num"));
  return [row];
}

function change(before, after, digits) {
  const told = (value) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  return cell(before === null && after === null ? "–" : `${told(before)} → ${told(after)}`, "num");
}

function cell(text, className = "") {
  return Object.assign(document.createElement("td"), { textContent: text, className });
}
