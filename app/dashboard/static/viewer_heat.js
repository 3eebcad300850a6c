// Which heatmap lies over which tile, and its colours.

import { SIZE } from "./viewer_data.js";

const PIXELS = SIZE * SIZE;
const raise = Math.max;
const add = (sum, value) => sum + value;
const take = (rest, value) => rest - value;
const FAINT = { one: 0.06, all: 0.3 }; // share of the strongest that is not shown, so that the picture stays itself
const SOLID = 0.55;
// From nothing to the strongest: each colour lighter than the one before, so that it reads without colours too.
const RAMP = [[40, 0, 90], [130, 20, 130], [220, 60, 80], [255, 150, 40], [255, 240, 160]];

/**
 * One value a pixel for every view [V][4096], and the scale that they are painted by: `layer` is before, after,
 * difference or warped, `joint` a number or null for all, `added` (Heat) what the view `source` adds to each target.
 */
export function layerOf({ document, heat }, { layer, joint, source, added }) {
  const views = document.cameras.length, count = document.joints.length;
  const joints = joint === null ? [...document.joints.keys()] : [joint];
  const values = document.cameras.map((_, view) => {
    const pixels = new Float32Array(PIXELS);
    if (layer === "warped") {
      added?.into(pixels, view * views + source, add);
      return pixels;
    }
    for (const each of joints) {
      const index = view * count + each;
      if (layer === "difference") {
        const change = new Float32Array(PIXELS);
        heat.after.into(change, index, add);
        heat.before.into(change, index, take);
        change.forEach((value, pixel) => { if (Math.abs(value) > Math.abs(pixels[pixel])) pixels[pixel] = value; });
      } else {
        heat[layer].into(pixels, index, raise);
      }
    }
    return pixels;
  });
  return { values, scale: { most: strongest(values, layer), faint: joint === null ? FAINT.all : FAINT.one } };
}

function strongest(values, layer) {
  let most = layer === "warped" ? 1e-4 : 0.05; // what is fainter everywhere is nothing
  for (const pixels of values) for (const value of pixels) most = Math.max(most, Math.abs(value));
  return most;
}

/** Paint values [4096] into a canvas of 64 × 64, which the page stretches over the tile; the strongest is `most`. */
export function paint(canvas, values, { most, faint }) {
  const context = canvas.getContext("2d"), image = context.createImageData(SIZE, SIZE);
  values.forEach((value, pixel) => {
    const share = Math.min(1, Math.abs(value) / most), shown = (share - faint) / (SOLID - faint);
    if (shown <= 0) return;
    const [red, green, blue] = value < 0 ? [90, 160, 255] : colour(share);
    image.data.set([red, green, blue, 255 * Math.min(1, shown)], 4 * pixel);
  });
  context.putImageData(image, 0, 0);
}

function colour(share) {
  const place = share * (RAMP.length - 1), low = Math.min(RAMP.length - 2, Math.floor(place)), rest = place - low;
  return RAMP[low].map((value, channel) => value + rest * (RAMP[low + 1][channel] - value));
}
