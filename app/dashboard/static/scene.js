// A rig in 3D: cameras, floor, capture volume and skeletons. Drawn only when something changed.

import * as THREE from "three";
import { CSS2DRenderer } from "./vendor/three/CSS2DRenderer.js";
import { CameraObject, centreOf, depthOf, meetingOf } from "./scene_cameras.js";
import { frameOf, LOST, NO_WEBGL } from "./scene_frame.js";
import { kindsInWords, skeletonOf } from "./scene_skeleton.js";
import { axesOf, cornersOf, floorOf, gridOf, metresPer, spacingOf, upInWords, upOf, volumeOf } from "./scene_stage.js";
import { onThemeChange, readColours } from "./scene_theme.js";
import { View } from "./scene_view.js";

const NEAR_ENOUGH = 26; // pixels from a camera's place or label that a click may be off by

/**
 * Show a rig in `element`: {units, up, volume: {min, max}, cameras: [{id, centre?, R, t, K, width, height, state?,
 * note?}], skeletons: [{joints, limbs, kind: "before"|"after"|"labels"}]}, lengths in the rig's unit, `state` one of
 * good, warn, bad. Without WebGL the element says so, and the handle does nothing.
 */
export function mountScene(element, rig = {}) {
  const frame = frameOf(element);
  if (!frame.canvas.getContext("webgl2", { antialias: true, alpha: true })) {
    frame.say(NO_WEBGL);
    return inert(frame);
  }
  const scene = new Scene(element, frame);
  scene.setRig(rig);
  return {
    available: true,
    setRig: (next) => scene.setRig(next),
    setCameras: (cameras) => scene.setRig({ ...scene.rig, cameras }),
    setSkeletons: (skeletons) => scene.setSkeletons(skeletons),
    highlight: (ids) => scene.highlight(ids == null ? [] : [ids].flat()),
    onSelect: (heard) => { scene.heard = heard; },
    reset: () => scene.view.reset(),
    dispose: () => scene.dispose(),
  };
}

class Scene {
  constructor(element, frame) {
    this.element = element;
    this.frame = frame;
    this.highlighted = new Set();
    this.renderer = new THREE.WebGLRenderer({ canvas: frame.canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.labels = new CSS2DRenderer({ element: frame.labels });
    this.view = new View(frame.canvas, element, () => this.invalidate());
    this.stage = new THREE.Scene();
    this.people = new THREE.Group();
    this.cameras = [];
    this.listen();
  }

  listen() {
    const { canvas } = this.frame;
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.frame.stage);
    this.endTheme = onThemeChange(() => this.setRig(this.rig, { keepView: true }));
    canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.frame.say(LOST); });
    canvas.addEventListener("webglcontextrestored", () => { this.frame.say(""); this.invalidate(); });
    canvas.addEventListener("pointerdown", (event) => {
      this.pressed = [event.clientX, event.clientY];
      this.view.moved = true;
      this.element.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointerup", (event) => this.click(event));
    this.frame.onButton({
      in: () => this.view.zoom(1 / 1.3), out: () => this.view.zoom(1.3),
      all: () => this.view.reset(), above: () => this.view.reset(89),
    });
  }

  setRig(rig, { keepView = false } = {}) {
    this.rig = { units: "m", up: null, volume: null, cameras: [], skeletons: [], ...rig };
    const { units, volume, cameras, skeletons } = this.rig;
    this.scale = metresPer(units);
    this.colours = readColours(this.element);
    clear(this.stage);
    const centres = cameras.map((camera) => centreOf(camera, this.scale));
    const depth = centres.length ? depthOf(centres) : 0.3;
    this.cameras = cameras.map((camera) => new CameraObject(camera, this.scale, depth));
    const { up, guessed } = upOf(this.rig.up, cameras), corners = cornersOf(volume, this.scale);
    const drawn = [...centres, ...this.cameras.flatMap((camera) => camera.corners), ...meetingOf(this.cameras)];
    const points = [...drawn, ...corners, ...this.joints(skeletons)].filter(isSomewhere);
    const places = JSON.stringify([units, this.rig.up, cameras.map(({ id, R, t }) => [id, R, t])]);
    this.surround(up, corners, centres, points);
    this.stage.add(...this.cameras, this.people);
    this.setSkeletons(skeletons);
    this.highlight([...this.highlighted]);
    this.words = [`Grid of ${this.spacing} m`, `up is ${upInWords(up)}${guessed ? ", guessed from the cameras" : ""}`];
    this.tell();
    if (!(keepView || (this.view.moved && places === this.places)) && points.length) this.view.show(points, centres.length, up);
    this.places = places;
    this.resize();
  }

  surround(up, corners, centres, points) {
    if (!points.length) return;
    const box = new THREE.Box3().setFromPoints(points);
    const extent = box.getSize(new THREE.Vector3()).length() * 0.75;
    this.spacing = spacingOf(extent);
    const floor = floorOf(up, corners, centres.length ? centres : points);
    this.stage.add(gridOf(up, floor, box.getCenter(new THREE.Vector3()), extent, this.spacing, this.colours));
    this.stage.add(axesOf(Math.min(this.spacing, extent / 8), this.colours));
    if (corners.length) this.stage.add(volumeOf(corners, this.colours));
  }

  joints(skeletons) {
    const known = skeletons.flatMap(({ joints }) => joints.filter(Boolean));
    return known.map((joint) => new THREE.Vector3(...joint).multiplyScalar(this.scale));
  }

  setSkeletons(skeletons) {
    this.rig.skeletons = skeletons ?? [];
    clear(this.people);
    for (const one of this.rig.skeletons) this.people.add(skeletonOf(one, this.scale, this.colours));
    this.tell();
    this.invalidate();
  }

  highlight(ids) {
    this.highlighted = new Set(ids);
    for (const object of this.cameras) object.paint(this.colours, this.highlighted.has(object.camera.id));
    this.invalidate();
  }

  tell() {
    this.frame.tell([...(this.words ?? []), ...kindsInWords(this.rig.skeletons)].join(" · "));
  }

  resize() {
    const { clientWidth, clientHeight } = this.frame.stage;
    if (!clientWidth || !clientHeight || !this.view.controls) return;
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.labels.setSize(clientWidth, clientHeight);
    this.view.resize(clientWidth, clientHeight);
    this.invalidate();
  }

  invalidate() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    if (!this.view.controls || this.renderer.getContext().isContextLost()) return;
    this.renderer.render(this.stage, this.view.eye);
    this.declutter();
    this.labels.render(this.stage, this.view.eye);
  }

  /** Where labels would cover each other the nearer one is shown, and always those looked at. */
  declutter() {
    const kept = [], { eye } = this.view;
    const rank = ({ camera, centre }) => (this.highlighted.has(camera.id) ? 0 : eye.position.distanceTo(centre));
    for (const object of [...this.cameras].sort((a, b) => rank(a) - rank(b))) {
      const [x, y] = this.onScreen(object.centre), [width, height] = object.labelSize;
      const covered = kept.some(([u, v, w, h]) => 2 * Math.abs(x - u) < width + w && 2 * Math.abs(y - v) < height + h);
      object.label.visible = !covered || this.highlighted.has(object.camera.id);
      if (object.label.visible) kept.push([x, y, width, height]);
    }
  }

  onScreen(point) {
    const { x, y } = point.clone().project(this.view.eye);
    return [((1 + x) / 2) * this.frame.stage.clientWidth, ((1 - y) / 2) * this.frame.stage.clientHeight];
  }

  click(event) {
    const [x, y] = this.pressed ?? [NaN, NaN];
    if (!(Math.hypot(event.clientX - x, event.clientY - y) < 5)) return;
    const box = this.frame.canvas.getBoundingClientRect();
    const away = this.cameras.map((object) => {
      const [u, v] = this.onScreen(object.centre);
      return { id: object.camera.id, distance: Math.hypot(event.clientX - box.left - u, event.clientY - box.top - v) };
    });
    const nearest = away.reduce((best, one) => (one.distance < best.distance ? one : best), { distance: NEAR_ENOUGH });
    this.highlight(nearest.id === undefined ? [] : [nearest.id]);
    this.heard?.(nearest.id ?? null);
  }

  dispose() {
    cancelAnimationFrame(this.waiting);
    this.sizes.disconnect();
    this.endTheme();
    this.view.end();
    clear(this.stage);
    this.renderer.dispose();
    this.frame.remove();
  }
}

/** A calibration that is being looked at for what is wrong with it may put things nowhere. */
function isSomewhere({ x, y, z }) {
  return [x, y, z].every((value) => Math.abs(value) < 1e9);
}

/** Take everything out of `group`, and give back what the graphics card holds of it. */
function clear(group) {
  group.traverse((object) => {
    if (object === group) return;
    object.geometry?.dispose();
    object.material?.dispose();
    object.element?.remove();
  });
  group.clear();
}

function inert(frame) {
  const nothing = () => {};
  return {
    available: false, setRig: nothing, setCameras: nothing, setSkeletons: nothing, highlight: nothing,
    onSelect: nothing, reset: nothing, dispose: () => frame.remove(),
  };
}
