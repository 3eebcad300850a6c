// Cameras as what they see: a frustum with a translucent image plane, a mark where its top is, and a label.

import * as THREE from "three";
import { CSS2DObject } from "./vendor/three/CSS2DRenderer.js";

const SIGNS = { warn: "⚠ ", bad: "✕ " };
const WIDEST = 1.4; // of the depth: what a fisheye's K says of its corners is not where they look

/** A label at `position`: text, never markup. */
export function labelled(text, className, position) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  const label = new CSS2DObject(element);
  label.position.copy(position);
  return label;
}

/** Where a camera stands, in metres. */
export function centreOf(camera, scale) {
  if (camera.centre) return new THREE.Vector3(...camera.centre).multiplyScalar(scale);
  const centre = new THREE.Vector3(...camera.t).applyMatrix3(transposed(camera.R));
  return centre.multiplyScalar(-scale);
}

/** How deep frusta are drawn: a tenth of how far the cameras stand from their middle, less where they stand close. */
export function depthOf(centres) {
  const middle = centres.reduce((sum, centre) => sum.add(centre), new THREE.Vector3()).divideScalar(centres.length);
  const far = Math.max(...centres.map((centre) => centre.distanceTo(middle)));
  return Math.max(0.14 * far, 0.02);
}

/** Where the cameras look: the point nearest to all their axes, in a list that is empty where there is none. */
export function meetingOf(objects) {
  const sum = new THREE.Matrix3().set(0, 0, 0, 0, 0, 0, 0, 0, 0), right = new THREE.Vector3();
  for (const { camera, centre } of objects) {
    const [x, y, z] = camera.R[2];
    const off = [1 - x * x, -x * y, -x * z, -x * y, 1 - y * y, -y * z, -x * z, -y * z, 1 - z * z];
    off.forEach((value, index) => { sum.elements[index] += value; });
    right.add(centre.clone().applyMatrix3(new THREE.Matrix3().set(...off)));
  }
  if (objects.length < 2 || Math.abs(sum.determinant()) < 1e-3) return [];
  const point = right.applyMatrix3(sum.invert());
  const reach = Math.max(...objects.map((one) => one.centre.distanceTo(objects[0].centre)));
  return objects.every((one) => one.centre.distanceTo(point) < 3 * reach) ? [point] : [];
}

/** One camera: its group holds `lines`, `plane` and `label`, and knows its `camera`, `centre` and `corners`. */
export class CameraObject extends THREE.Group {
  constructor(camera, scale, depth) {
    super();
    this.camera = camera;
    this.centre = centreOf(camera, scale);
    this.corners = cornersOf(camera, this.centre, depth);
    this.lines = new THREE.LineSegments(linesOf(this.centre, this.corners), new THREE.LineBasicMaterial());
    const material = { transparent: true, side: THREE.DoubleSide, depthWrite: false };
    this.plane = new THREE.Mesh(planeOf(this.corners), new THREE.MeshBasicMaterial(material));
    this.rays = new THREE.LineSegments(raysOf(this.centre, this.corners), new THREE.LineBasicMaterial({ transparent: true }));
    this.label = labelled("", "scene-label", this.centre);
    this.add(this.lines, this.plane, this.rays, this.label);
  }

  /** Draw it in the colours of its state, or as the one looked at. */
  paint(colours, highlighted) {
    const { id, state, note } = this.camera;
    const color = highlighted ? colours.accent : (colours[state] ?? colours.ink);
    this.lines.material.color.set(color);
    this.plane.material.color.set(color);
    this.plane.material.opacity = highlighted ? 0.35 : 0.14;
    this.rays.material.color.set(color);
    this.rays.material.opacity = 0.35;
    this.rays.visible = highlighted;
    const element = this.label.element;
    element.textContent = `${SIGNS[state] ?? ""}${id}${highlighted && note ? `: ${note}` : ""}`;
    element.className = `scene-label${state ? ` ${state}` : ""}${highlighted ? " highlighted" : ""}`;
    this.size = null;
  }

  /** The label's size in pixels, measured once. */
  get labelSize() {
    const { offsetWidth, offsetHeight } = this.label.element;
    if (!this.size && offsetWidth) this.size = [offsetWidth, offsetHeight];
    return this.size ?? [8 * this.camera.id.length, 18];
  }
}

function transposed(rows) {
  const [a, b, c] = rows;
  return new THREE.Matrix3(a[0], b[0], c[0], a[1], b[1], c[1], a[2], b[2], c[2]);
}

/** The image's corners in the world, from the upper left clockwise, and the mark above its top edge. */
function cornersOf({ K, R, width, height }, centre, depth) {
  const back = transposed(R), [fx, fy] = [K[0][0] || width, K[1][1] || width];
  const left = -K[0][2] / fx, right = (width - K[0][2]) / fx;
  const top = -K[1][2] / fy, bottom = (height - K[1][2]) / fy;
  const shrink = Math.min(1, WIDEST / Math.max(right - left, bottom - top));
  const middle = (left + right) / 2, mark = top - 0.25 * (bottom - top);
  const rays = [[left, top], [right, top], [right, bottom], [left, bottom],
    [0.5 * (left + middle), top], [middle, mark], [0.5 * (right + middle), top]];
  return rays.map(([x, y]) =>
    new THREE.Vector3(x * shrink, y * shrink, 1).multiplyScalar(depth).applyMatrix3(back).add(centre),
  );
}

function linesOf(centre, corners) {
  const [a, b, c, d, left, mark, right] = corners;
  const points = [centre, a, centre, b, centre, c, centre, d, a, b, b, c, c, d, d, a, left, mark, mark, right];
  return new THREE.BufferGeometry().setFromPoints(points);
}

function planeOf([a, b, c, d]) {
  return new THREE.BufferGeometry().setFromPoints([a, b, c, a, c, d]);
}

/** The edges of what it sees, drawn on into the room. */
function raysOf(centre, corners) {
  const far = corners.slice(0, 4).map((corner) => corner.clone().sub(centre).multiplyScalar(12).add(centre));
  return new THREE.BufferGeometry().setFromPoints(far.flatMap((end, index) => [corners[index], end]));
}
