// The page of a rig: its 3D view, mounted once; the matrix and the tables, put right after every change that comes live.

import { PairMatrix } from "./rig_matrix.js";
import { mountScene } from "./scene.js";
import { keepSorted } from "./sorting.js";

const page = document.getElementById("rig");
const read = (id) => JSON.parse(document.getElementById(id).textContent);

const rig = read("rig-scene");
const scene = mountScene(document.getElementById("rig-view"), marked());
let states = document.getElementById("rig-states").textContent;

/** The rig, each camera with what is to be looked at. */
function marked() {
  const told = read("rig-states");
  const cameras = rig.cameras.map((camera) => {
    const [state, note] = told[camera.id] ?? [];
    return { ...camera, state, note };
  });
  return { ...rig, cameras };
}

const matrix = new PairMatrix(page, () => read("rig-pairs"), (cameras) => scene.highlight(cameras));
const sorted = keepSorted(page);

function refresh() {
  matrix.refresh();
  sorted();
  const now = document.getElementById("rig-states").textContent;
  if (now !== states) {
    states = now;
    scene.setCameras(marked().cameras);
  }
}

page.addEventListener("live:changed", refresh);

/** A camera chosen in the scene is found in the table, and the other way round. */
function mark(id) {
  for (const row of page.querySelectorAll("tr[data-camera]")) row.classList.toggle("chosen", row.dataset.camera === id);
}
scene.onSelect(mark);
for (const kind of ["pointerover", "focusin"]) {
  page.addEventListener(kind, (event) => {
    const row = event.target.closest("tr[data-camera]"), advice = event.target.closest("[data-cameras]");
    if (row) scene.highlight([row.dataset.camera]);
    else if (advice) scene.highlight(JSON.parse(advice.dataset.cameras));
  });
}
