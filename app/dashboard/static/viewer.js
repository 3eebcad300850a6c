// The frame viewer: which frame, what is shown of it, and what the pointer means. The address always says all of it.

import { Frames } from "./viewer_data.js";
import { layerOf } from "./viewer_heat.js";
import { askHowMany, watchKept } from "./viewer_keeping.js";
import { Panel } from "./viewer_panel.js";
import { rankWith } from "./viewer_ranking.js";
import { Tile } from "./viewer_tile.js";

const wanted = JSON.parse(document.getElementById("wanted").textContent);
const byId = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const store = new Frames(wanted.base);
const KINDS = ["before", "after", "labels"];
const state = {
  frames: wanted.frames,
  place: 0,
  shown: null,
  overlay: asked.get("overlay") ?? "after",
  joint: asked.get("joint"),
  source: asked.get("from"),
  checkpoint: asked.get("checkpoint") ?? "active",
  view: asked.get("view") ?? wanted.view,
};
let tiles = [];
let loading = null;
const panel = new Panel(wanted.space, { joint: (joint) => meanJoint(joint), choose: (joint) => choose(joint) });
const ranking = rankWith({
  frames: () => state.frames,
  read: (key) => store.document(key, manner()),
  go: (key) => go(state.frames.findIndex((frame) => frame.key === key)),
});

const manner = () => new URLSearchParams({ checkpoint: state.checkpoint, view: state.view }).toString();
const jointNumber = () => (state.shown ? state.shown.document.joints.indexOf(state.joint) : -1);
const chosenJoint = () => (jointNumber() < 0 ? null : jointNumber());

/** Go to a frame; while one is on its way only the last that was asked for is fetched next. */
function go(place) {
  if (!state.frames.length) return;
  state.place = Math.max(0, Math.min(place, state.frames.length - 1));
  tellPlace();
  loading ??= load().finally(() => { loading = null; });
}

async function load() {
  let place, key, query, isShown;
  do {
    [place, key, query] = [state.place, state.frames[state.place].key, manner()];
    byId("tiles").classList.toggle("is-waiting", !store.has(key, query));
    try {
      const frame = await store.load(key, query);
      say("");
      show(frame);
      isShown = true;
    } catch (error) {
      say(state.shown ? `${error.message} What is shown is still the frame before.` : error.message);
      isShown = false;
    }
  } while (place !== state.place || query !== manner() || key !== state.frames[state.place].key);
  byId("tiles").classList.toggle("is-waiting", !isShown);
  for (const next of [place + 1, place - 1, place + 2]) {
    if (state.frames[next]) store.load(state.frames[next].key, query).catch(() => {});
  }
}

function say(sentence) {
  byId("problem").textContent = sentence;
  byId("problem").hidden = !sentence;
}

function show(frame) {
  state.shown = frame;
  const { cameras, joints, joints2d } = frame.document;
  if (tiles.length !== cameras.length) {
    tiles = cameras.map((_, index) => new Tile(index, { point: meanPlace, choose: (joint) => joint !== null && choose(joint) }));
    byId("tiles").classList.toggle("is-many", cameras.length > 6);
    byId("tiles").classList.toggle("is-even", [2, 4].includes(cameras.length));
    byId("tiles").replaceChildren(...tiles.map(({ element }) => element));
    options(byId("joint"), [["all", "all joints"], ...joints.map((name) => [name, name.replaceAll("_", " ")])], state.joint ?? "all");
    options(byId("source"), cameras.map(({ id }) => [id, id]), state.source ?? cameras[0].id);
  }
  byId("show-labels").disabled = !joints2d.labels;
  for (const tile of tiles) tile.show(frame);
  panel.show(frame, chosenJoint());
  draw();
  tellPlace();
}

/** Skeletons and heatmaps of the frame that is shown, as the controls say. */
async function draw() {
  const frame = state.shown, kinds = new Set(KINDS.filter((kind) => byId(`show-${kind}`).checked));
  for (const tile of tiles) tile.draw(kinds, chosenJoint());
  const overlay = state.overlay, source = byId("source").selectedIndex, opacity = byId("opacity").value / 100;
  byId("source-field").hidden = overlay !== "warped";
  tellAddress();
  if (overlay === "none") {
    for (const tile of tiles) tile.cover(null);
    return;
  }
  let added = null;
  if (overlay === "warped") {
    const key = state.frames[state.place].key;
    try {
      added = await store.contributions(key, manner(), chosenJoint(), tiles.length);
    } catch (error) {
      say(error.message);
    }
    if (frame !== state.shown || overlay !== state.overlay) return; // meanwhile something else is shown
  }
  const { values, scale } = layerOf(frame, { layer: overlay, joint: chosenJoint(), source, added });
  tiles.forEach((tile, view) => tile.cover(values[view], scale, opacity));
}

/** The pointer is at a place of a tile, or nowhere: lines of that place, or of the joint under it, in all others. */
function meanPlace(tile, place) {
  const joint = place && tile.near(place);
  const from = joint === null || joint === undefined ? place : tile.joints.after[joint] ?? tile.joints.labels[joint];
  meanFrom(tile.index, from, joint ?? null, place);
}

/** A joint is meant, in the table: its lines come from the camera that sees it best. */
function meanJoint(joint) {
  const seen = tiles.map((tile) => (joint === null ? null : tile.joints.after[joint])).map((point) => point?.[2] ?? -1);
  const best = seen.indexOf(Math.max(...seen));
  meanFrom(best, joint === null ? null : tiles[best]?.joints.after[joint], joint, null);
}

function meanFrom(origin, from, joint, place) {
  for (const tile of tiles) {
    const F = from ? state.shown.document.fundamental[origin][tile.index] : null;
    const lines = F ? [F.map((row) => row[0] * from[0] + row[1] * from[1] + row[2])] : [];
    tile.point({ lines, joint: from ? joint : null, place: tile.index === origin && joint === null ? place : null });
  }
}

function choose(joint) {
  const name = joint === null ? null : state.shown.document.joints[joint];
  state.joint = state.joint === name ? null : name;
  settle();
}

/** What one view adds is told of one joint: where none is chosen, of one that fusion changed. */
function settle() {
  if (state.overlay === "warped" && chosenJoint() === null && state.shown) {
    state.joint = state.shown.document.changes[0]?.joint ?? state.shown.document.joints[0];
  }
  byId("joint").value = state.joint ?? "all";
  if (!state.shown) return;
  panel.choose(chosenJoint());
  draw();
}

function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

function tellPlace() {
  byId("slider").value = state.place;
  byId("frame").selectedIndex = state.place;
  byId("place").textContent = `${state.place + 1} of ${state.frames.length}`;
  byId("back").disabled = state.place === 0;
  byId("on").disabled = state.place === state.frames.length - 1;
  tellAddress();
}

function tellAddress() {
  const { frames, place, overlay, joint, checkpoint, view } = state;
  const source = overlay === "warped" ? byId("source").value : null;
  const said = { frame: address(frames[place]), checkpoint, view, overlay, joint, from: source };
  const usual = { checkpoint: "active", view: wanted.view, overlay: "after" };
  const kept = Object.entries(said).filter(([name, value]) => value != null && value !== usual[name]);
  const search = `?${new URLSearchParams(kept)}`;
  if (search !== location.search) history.replaceState(null, "", search); // browsers count how often
}

/** What an address calls a frame: names of requests' frames come again, so those go by their numbers. */
function address(frame) {
  return frame && (frame.at ? String(frame.key) : frame.name);
}

function list(frames, keep) {
  state.frames = frames;
  byId("viewer").hidden = !frames.length;
  byId("nothing").hidden = Boolean(frames.length);
  byId("slider").max = Math.max(0, frames.length - 1);
  options(byId("frame"), frames.map(({ key, name, at }) => [key, at ? `${new Date(at).toLocaleString()} · ${name}` : name]));
  ranking.forget();
  go(Math.max(0, frames.findIndex((frame) => address(frame) === keep)));
}

function listen() {
  byId("back").addEventListener("click", () => go(state.place - 1));
  byId("on").addEventListener("click", () => go(state.place + 1));
  byId("slider").addEventListener("input", ({ target }) => go(Number(target.value)));
  byId("frame").addEventListener("change", ({ target }) => go(target.selectedIndex));
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const busy = event.target.closest("input, select, textarea, dialog, .scene") || event.ctrlKey || event.altKey || event.metaKey;
    if (step && !busy) {
      event.preventDefault();
      go(state.place + step);
    }
  });
  byId("overlay").addEventListener("change", ({ target }) => { state.overlay = target.value; settle(); });
  byId("joint").addEventListener("change", ({ target }) => { state.joint = target.value === "all" ? null : target.value; settle(); });
  byId("source").addEventListener("change", () => draw());
  byId("opacity").addEventListener("input", () => draw());
  for (const kind of KINDS) byId(`show-${kind}`).addEventListener("change", () => { draw(); panel.inSpace(state.shown.document); });
  for (const name of ["checkpoint", "view"]) {
    byId(name)?.addEventListener("change", ({ target }) => { state[name] = target.value; ranking.forget(); go(state.place); });
  }
}

const made = wanted.checkpoints.map(({ id, made: when, method }) => [id, `${method}, ${when}`]);
const choices = [["active", "the active one"], ["none", "none: no fusion"], ["epipolar", "none: epipolar lines"], ...made];
if (!choices.some(([id]) => id === state.checkpoint)) choices.push([state.checkpoint, state.checkpoint]);
options(byId("checkpoint"), choices, state.checkpoint);
byId("overlay").value = state.overlay;
if (byId("view")) byId("view").value = state.view;
else state.view = wanted.view;
listen();
list(wanted.frames, asked.get("frame"));
settle();
if (wanted.frames.length === 0 || wanted.frames[0].at) {
  askHowMany();
  watchKept(wanted.rig, (frames) => list(frames, address(state.frames[state.place])));
}
