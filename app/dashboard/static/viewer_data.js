// Frames of the viewer, fetched once, kept for a while, and fetched ahead so that stepping is instant.

import { problemOf, signIn } from "./app.js";

const KEPT = 16, LEAST_KEPT = 6;
const PICTURES = 192; // decoded, a megabyte each
export const SIZE = 64;
const PIXELS = SIZE * SIZE;

/** Frames under `base`, by their key; `manner` is the query that says with which checkpoint and through which windows. */
export class Frames {
  constructor(base) {
    this.base = base;
    this.kept = new Map();
    this.most = KEPT;
  }

  /** {document, heat: {before, after}, pictures: ImageBitmap[]} of a frame. */
  load(key, manner) {
    return this.once(`${key}?${manner}`, () => this.fetch(key, manner));
  }

  /** What each view adds to each other for one joint: Heat of [target × source]. */
  contributions(key, manner, joint, views) {
    const make = async () => new Heat(await bytes(`${this.base}/${key}/contributions/${joint}?${manner}`), 0, views * views, views * views);
    return this.once(`${key}/${joint}?${manner}`, make);
  }

  /** Whether a frame is here already, or on its way. */
  has(key, manner) {
    return this.kept.has(`${key}?${manner}`);
  }

  document(key, manner) {
    return json(`${this.base}/${key}/document?${manner}`);
  }

  once(name, make) {
    const found = this.kept.get(name) ?? make();
    this.kept.delete(name);
    this.kept.set(name, found); // the newest stands last
    found.catch(() => this.kept.delete(name)); // it may do better the next time
    while (this.kept.size > this.most) this.forget();
    return found;
  }

  /** Lets go of the oldest, and of its pictures at once: what is shown was drawn already. */
  forget() {
    const [name, oldest] = this.kept.entries().next().value;
    this.kept.delete(name);
    oldest.then(({ pictures }) => pictures?.forEach((each) => each.close()), () => {});
  }

  async fetch(key, manner) {
    const place = `${this.base}/${key}`;
    const [document, packed] = await Promise.all([this.document(key, manner), bytes(`${place}/heatmaps?${manner}`)]);
    const { cameras, joints, pictures } = document, count = cameras.length * joints.length;
    this.most = Math.max(LEAST_KEPT, Math.min(KEPT, Math.floor(PICTURES / cameras.length)));
    const heat = { before: new Heat(packed, 0, count, 2 * count), after: new Heat(packed, count, count, 2 * count) };
    const images = pictures ? cameras.map((_, camera) => picture(`${place}/pictures/${camera}?${manner}`)) : [];
    return { document, heat, pictures: await Promise.all(images) };
  }
}

/** Heatmaps as the service packs them: the strongest of each as floats, then all in steps of its own. */
export class Heat {
  constructor(buffer, first, count, all) {
    this.peaks = new Float32Array(buffer, 4 * first, count);
    this.bytes = new Int8Array(buffer, 4 * all + first * PIXELS, count * PIXELS);
  }

  /** Add or raise `target` [4096] by the heatmap `index`: `pool` joins what is there and the value. */
  into(target, index, pool) {
    const scale = this.peaks[index] / 127, start = index * PIXELS;
    for (let pixel = 0; pixel < PIXELS; pixel += 1) target[pixel] = pool(target[pixel], this.bytes[start + pixel] * scale);
  }
}

async function answer(url) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin" });
  } catch {
    throw new Error("The service does not answer.");
  }
  if (response.status === 401) signIn();
  if (!response.ok) throw new Error(problemOf(await response.text(), response.status));
  return response;
}

export async function json(url) {
  return (await answer(url)).json();
}

async function bytes(url) {
  return (await answer(url)).arrayBuffer();
}

async function picture(url) {
  return createImageBitmap(await (await answer(url)).blob());
}
