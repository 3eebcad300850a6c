// What stands around the cameras: the floor with its grid, the capture volume, the axes; and which way is up.

import * as THREE from "three";
import { labelled } from "./scene_cameras.js";

const METRES = { m: 1, cm: 0.01, mm: 0.001 };
const AXES = ["x", "y", "z"];

/** Metres in one unit of the rig. */
export const metresPer = (units) => METRES[units] ?? 1;

/** The world's up as a unit vector, as told or else as most cameras are held; `guessed` says which. */
export function upOf(told, cameras) {
  const up = new THREE.Vector3();
  if (told) up.fromArray(told);
  else for (const { R } of cameras) up.sub(new THREE.Vector3(R[1][0], R[1][1], R[1][2]));
  if (up.lengthSq() < 1e-12) up.set(0, 0, 1);
  return { up: up.normalize(), guessed: !told };
}

/** Up in words: "+z", or its numbers where it is no axis. */
export function upInWords(up) {
  const parts = up.toArray();
  const axis = parts.findIndex((part) => Math.abs(part) > 0.999);
  if (axis >= 0) return `${parts[axis] > 0 ? "+" : "−"}${AXES[axis]}`;
  return `(${parts.map((part) => part.toFixed(2)).join(", ")})`;
}

/** The eight corners of the volume, in metres. */
export function cornersOf(volume, scale) {
  if (!volume) return [];
  const ends = [volume.min, volume.max];
  return [0, 1, 2, 3, 4, 5, 6, 7].map((corner) =>
    new THREE.Vector3(...[0, 1, 2].map((axis) => ends[(corner >> axis) & 1][axis])).multiplyScalar(scale),
  );
}

/** How far up the floor lies: at the volume's foot, or where the world begins, but below every camera. */
export function floorOf(up, corners, centres) {
  const heights = (points) => points.map((point) => point.dot(up));
  if (corners.length) return Math.min(...heights(corners));
  const lowest = Math.min(...heights(centres));
  return lowest > 0 ? 0 : lowest - 0.5;
}

/** A spacing that people count in, with at most about twenty lines across `extent` metres. */
export function spacingOf(extent) {
  return [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100].find((step) => extent / step <= 20) ?? 1000;
}

/** The floor's grid around `middle`, its lines at whole multiples of `spacing`. */
export function gridOf(up, floor, middle, extent, spacing, colours) {
  const cells = 2 * Math.ceil(extent / spacing / 2 + 1);
  const grid = new THREE.GridHelper(cells * spacing, cells, colours.muted, colours.muted);
  const turn = new THREE.Quaternion().setFromUnitVectors(new THREE.Vector3(0, 1, 0), up);
  const flat = middle.clone().applyQuaternion(turn.clone().invert());
  flat.set(Math.round(flat.x / spacing) * spacing, floor, Math.round(flat.z / spacing) * spacing);
  grid.quaternion.copy(turn);
  grid.position.copy(flat.applyQuaternion(turn));
  grid.material.transparent = true;
  grid.material.opacity = 0.3;
  return grid;
}

/** The edges of the capture volume, with its size as a label. */
export function volumeOf(corners, colours) {
  const size = corners[7].clone().sub(corners[0]);
  const box = new THREE.LineSegments(
    new THREE.EdgesGeometry(new THREE.BoxGeometry(...size.toArray())),
    new THREE.LineDashedMaterial({ color: colours.muted, dashSize: 0.08, gapSize: 0.06 }),
  );
  box.computeLineDistances();
  box.position.addVectors(corners[0], corners[7]).multiplyScalar(0.5);
  return box;
}

/** The world's axes at its origin, each named; x, y and z have the colours that every 3D program gives them. */
export function axesOf(length, colours) {
  const group = new THREE.Group();
  [colours.bad, colours.good, colours.accent].forEach((color, axis) => {
    const end = new THREE.Vector3().setComponent(axis, length);
    const geometry = new THREE.BufferGeometry().setFromPoints([new THREE.Vector3(), end]);
    group.add(new THREE.Line(geometry, new THREE.LineBasicMaterial({ color })));
    group.add(labelled(AXES[axis], "scene-axis", end.multiplyScalar(1.12)));
  });
  return group;
}
