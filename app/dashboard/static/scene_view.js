// Where one looks from: a first view that everything fits into, and orbiting, zooming and moving by mouse, touch and keys.

import * as THREE from "three";
import { OrbitControls } from "./vendor/three/OrbitControls.js";

const STEP = THREE.MathUtils.degToRad(10);
const MARGIN = 0.86; // of the picture: labels stand beyond what they name
const ELEVATION = 28;
const SIDES = 12; // that the first view is chosen from

export class View {
  /** `canvas` hears mouse and touch, `element` the keys; `changed` is called when the picture is no longer right. */
  constructor(canvas, element, changed) {
    this.eye = new THREE.PerspectiveCamera(40, 1, 0.01, 1000);
    this.canvas = canvas;
    this.changed = changed;
    this.points = [];
    this.up = new THREE.Vector3(0, 0, 1);
    this.keys = (event) => this.press(event);
    element.addEventListener("keydown", this.keys);
    this.wheel = () => { this.controls.enableZoom = element.contains(document.activeElement); };
    canvas.addEventListener("wheel", this.wheel, { capture: true, passive: true }); // else scrolling a page ends here
    this.end = () => {
      element.removeEventListener("keydown", this.keys);
      canvas.removeEventListener("wheel", this.wheel, { capture: true });
      this.controls?.dispose();
    };
  }

  /** Everything that the view has to show, the first `apart` points as far apart as may be; and which way is up. */
  show(points, apart, up) {
    this.points = points;
    this.apart = apart;
    if (!this.controls || !up.equals(this.up)) {
      this.up = up.clone();
      this.eye.up.copy(up);
      this.controls?.dispose();
      this.controls = new OrbitControls(this.eye, this.canvas);
      this.controls.addEventListener("change", this.changed);
    }
    this.reset();
  }

  resize(width, height) {
    this.eye.aspect = width / height;
    this.eye.updateProjectionMatrix();
    if (!this.moved) this.reset();
  }

  /** The first view, from the side where cameras cover each other least; or that from straight above. */
  reset(elevation = ELEVATION) {
    if (!this.points.length) return;
    const sides = Array.from({ length: SIDES }, (_, side) => this.fit(this.towards((360 * side) / SIDES, elevation)));
    const best = sides.reduce((a, b) => (b.spread > a.spread ? b : a));
    this.controls.target.copy(best.target);
    this.place(best.away, best.distance);
    this.moved = false;
  }

  /** The direction to the eye, both angles in degrees. */
  towards(azimuth, elevation) {
    const { degToRad } = THREE.MathUtils, angle = degToRad(Math.min(elevation, 89.9));
    const away = sideways(this.up).applyAxisAngle(this.up, degToRad(azimuth + 20));
    return away.multiplyScalar(Math.cos(angle)).addScaledVector(this.up, Math.sin(angle));
  }

  /** From direction `away`: what to look at from how far so that all points fill the picture, and how far apart they lie. */
  fit(away) {
    const right = new THREE.Vector3().crossVectors(this.up, away).normalize();
    const upwards = new THREE.Vector3().crossVectors(away, right);
    const high = MARGIN * Math.tan(THREE.MathUtils.degToRad(this.eye.fov / 2)), wide = high * this.eye.aspect;
    const target = new THREE.Box3().setFromPoints(this.points).getCenter(new THREE.Vector3());
    let distance = 0, seen = [];
    for (let round = 0; round < 5; round += 1) {
      const parts = this.points.map((point) => {
        const from = point.clone().sub(target);
        return [from.dot(right), from.dot(upwards), from.dot(away)];
      });
      distance = Math.max(0.1, ...parts.map(([x, y, z]) => z + Math.max(Math.abs(x) / wide, Math.abs(y) / high)));
      seen = parts.map(([x, y, z]) => [x / (distance - z), y / (distance - z)]);
      const middle = [0, 1].map((axis) => (Math.min(...seen.map((s) => s[axis])) + Math.max(...seen.map((s) => s[axis]))) / 2);
      target.addScaledVector(right, middle[0] * distance * 0.7).addScaledVector(upwards, middle[1] * distance * 0.7);
    }
    return { away, target, distance, spread: spreadOf(seen.slice(0, this.apart)) };
  }

  place(away, distance) {
    this.eye.position.copy(this.controls.target).addScaledVector(away, distance);
    this.eye.near = distance / 100;
    this.eye.far = distance * 50;
    this.eye.updateProjectionMatrix();
    this.controls.update();
    this.changed();
  }

  press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key in turns) (event.shiftKey ? this.move : this.turn).apply(this, turns[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1 / 1.15);
    else if (event.key === "-") this.zoom(1.15);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  turn(right, upwards) {
    const from = this.eye.position.clone().sub(this.controls.target), distance = from.length();
    from.normalize().applyAxisAngle(this.up, right * STEP);
    const angle = THREE.MathUtils.clamp(from.angleTo(this.up) - upwards * STEP, 0.01, Math.PI - 0.01);
    const across = new THREE.Vector3().crossVectors(this.up, from).normalize();
    this.moved = true;
    this.place(this.up.clone().applyAxisAngle(across, angle), distance);
  }

  move(right, upwards) {
    const step = 0.05 * this.eye.position.distanceTo(this.controls.target);
    const way = new THREE.Vector3(right, upwards, 0).applyQuaternion(this.eye.quaternion).multiplyScalar(step);
    this.controls.target.add(way);
    this.eye.position.add(way);
    this.moved = true;
    this.controls.update();
  }

  zoom(factor) {
    const from = this.eye.position.clone().sub(this.controls.target);
    this.moved = true;
    this.place(from.clone().normalize(), from.length() * factor);
  }
}

/** A level direction to begin with: an axis of the world made perpendicular to `up`. */
function sideways(up) {
  const axis = Math.abs(up.x) < 0.9 ? new THREE.Vector3(1, 0, 0) : new THREE.Vector3(0, 0, 1);
  return axis.addScaledVector(up, -axis.dot(up)).normalize();
}

/** How far points of the picture lie from the one next to each, in the mean of the nearest half. */
function spreadOf(points) {
  const gaps = points.map(([x, y], one) =>
    Math.min(...points.map(([u, v], other) => (one === other ? Infinity : Math.hypot(x - u, y - v)))),
  );
  const nearest = gaps.sort((a, b) => a - b).slice(0, Math.ceil(gaps.length / 2));
  return nearest.reduce((sum, gap) => sum + gap, 0);
}
