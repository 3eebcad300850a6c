// One camera: its picture, a heatmap over it, skeletons, and the epipolar lines of what is pointed at elsewhere.

import { SIZE } from "./viewer_data.js";
import { paint } from "./viewer_heat.js";

const SVG = "http://www.w3.org/2000/svg";
const NEAR = 3; // heatmap pixels from a joint within which the pointer means it

export class Tile {
  /** `heard.point(tile, place|null)` hears of the pointer, `heard.choose(joint|null)` of a click. */
  constructor(index, heard) {
    this.index = index;
    this.element = make("figure", "tile");
    const caption = make("figcaption");
    this.title = caption.appendChild(make("b"));
    this.note = caption.appendChild(make("span"));
    this.stage = make("div", "tile-stage");
    this.picture = this.stage.appendChild(make("canvas"));
    this.heat = this.stage.appendChild(make("canvas"));
    Object.assign(this.heat, { width: SIZE, height: SIZE });
    this.drawing = this.stage.appendChild(svg("svg", { viewBox: `-0.5 -0.5 ${SIZE} ${SIZE}`, "aria-hidden": "true" }));
    this.people = this.drawing.appendChild(svg("g"));
    this.lines = this.drawing.appendChild(svg("g"));
    this.name = this.stage.appendChild(make("span", "tile-name"));
    this.element.append(caption, this.stage);
    this.stage.addEventListener("pointermove", (event) => heard.point(this, this.place(event)));
    this.stage.addEventListener("pointerleave", () => heard.point(this, null));
    this.stage.addEventListener("click", (event) => heard.choose(this.near(this.place(event))));
  }

  place(event) {
    const box = this.stage.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIZE - 0.5, ((event.clientY - box.top) / box.height) * SIZE - 0.5];
  }

  /** The joint after fusion, or as labelled, that lies near a place; null where none does. */
  near([x, y]) {
    let best = null, least = NEAR;
    for (const points of [this.joints.after, this.joints.labels ?? []]) {
      points.forEach((point, joint) => {
        const away = point ? Math.hypot(point[0] - x, point[1] - y) : Infinity;
        if (away < least) [best, least] = [joint, away];
      });
      if (best !== null) return best;
    }
    return best;
  }

  show({ document, pictures }) {
    const { joints2d, cameras } = document, picture = pictures[this.index];
    this.document = document;
    this.joints = Object.fromEntries(Object.entries(joints2d).map(([kind, all]) => [kind, all && all[this.index]]));
    this.title.textContent = cameras[this.index].id;
    this.picture.hidden = !picture;
    if (picture) {
      Object.assign(this.picture, { width: picture.width, height: picture.height });
      this.picture.getContext("2d").drawImage(picture, 0, 0);
    }
    this.tell();
  }

  tell() {
    const { labels, after, before } = this.joints;
    const known = (labels ?? []).filter(Boolean).length;
    const changed = this.document.changes.filter(({ view }) => view === this.index);
    const gained = changed.filter(({ kind }) => kind === "gained").length, lost = changed.filter(({ kind }) => kind === "lost").length;
    const told = known ? [`${known} labelled`] : [`${after.filter(Boolean).length} joints`];
    if (gained) told.push(`+${gained} found`);
    if (lost) told.push(`−${lost} lost`);
    this.note.textContent = told.join(" · ");
    const words = `${this.title.textContent}: ${told.join(", ")}, ${before.filter(Boolean).length} seen before fusion`;
    this.stage.setAttribute("role", "img");
    this.stage.setAttribute("aria-label", words);
  }

  /** A heatmap's values [4096], or null for none. */
  cover(values, scale, opacity) {
    this.heat.hidden = !values;
    this.heat.style.opacity = String(opacity);
    if (values) paint(this.heat, values, scale);
  }

  /** The skeletons of `kinds`, all joints or mostly `joint`. */
  draw(kinds, joint) {
    const groups = [];
    for (const kind of ["before", "after"]) {
      if (!kinds.has(kind)) continue;
      const points = this.joints[kind], group = svg("g", { class: kind });
      for (const [a, b] of this.document.limbs) {
        if (points[a] && points[b]) group.append(line(points[a], points[b], `limb${joint === null ? "" : " faint"}`));
      }
      points.forEach((point, each) => {
        if (point) group.append(ring(point, each === joint ? 0.9 : 0.5, `dot${joint === null || each === joint ? "" : " faint"}`));
      });
      groups.push(group);
    }
    groups.push(this.labels(kinds.has("labels"), joint), this.changes(joint));
    this.people.replaceChildren(...groups);
  }

  labels(shown, joint) {
    const group = svg("g");
    (shown && this.joints.labels ? this.joints.labels : []).forEach((point, each) => {
      const seen = point?.[2] === 1 ? " hidden-joint" : "";
      if (point) group.append(ring(point, 0.75, `label-dot${seen}${joint === null || each === joint ? "" : " faint"}`));
    });
    return group;
  }

  changes(joint) {
    const group = svg("g");
    for (const { kind, view, number } of this.document.changes) {
      const point = this.joints.after[number];
      if (view === this.index && point && (joint === null || joint === number)) group.append(ring(point, 1.8, kind));
    }
    return group;
  }

  /** Epipolar lines [[a, b, c]] of a place in other views, a joint that is meant, or the place itself. */
  point({ lines = [], place = null, joint = null }) {
    const drawn = lines.map(inside).filter(Boolean).map(([from, to]) => line(from, to, "epipolar"));
    const meant = joint === null ? null : this.joints.after[joint] ?? this.joints.labels?.[joint];
    if (meant) drawn.push(ring(meant, 1.3, "pointed"));
    if (place) drawn.push(ring(place, 0.4, "pointed"));
    this.lines.replaceChildren(...drawn);
    this.name.textContent = meant ? this.document.joints[joint].replaceAll("_", " ") : "";
  }
}

/** Where a line a·x + b·y + c = 0 enters and leaves the window; null where it misses it. */
function inside([a, b, c]) {
  const low = -0.5, high = SIZE - 0.5, found = [];
  for (const edge of [low, high]) {
    if (Math.abs(b) > 1e-12) found.push([edge, -(a * edge + c) / b]);
    if (Math.abs(a) > 1e-12) found.push([-(b * edge + c) / a, edge]);
  }
  const within = found.filter((point) => point.every((value) => value >= low - 1e-6 && value <= high + 1e-6));
  within.sort((p, q) => p[0] - q[0] || p[1] - q[1]);
  return within.length < 2 ? null : [within[0], within.at(-1)];
}

function make(name, className = "") {
  return Object.assign(document.createElement(name), { className });
}

function svg(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function line([x1, y1], [x2, y2], className) {
  return svg("line", { x1, y1, x2, y2, class: className });
}

function ring([cx, cy], r, className) {
  return svg("circle", { cx, cy, r, class: className });
}
