// The second step: labels and frames, whichever way they lie on the disk, sent and told what they cover.

import { filesFrom, made, sizeOf, tell } from "./new_api.js";
import { showCoverage } from "./new_coverage.js";
import { sendCapture } from "./new_upload.js";
import { framesOf, isImage, zipped } from "./new_zip.js";

export function framesStep(sealed) {
  return new Frames(sealed);
}

class Frames {
  constructor(sealed) {
    this.sealed = sealed;
    this.element = (id) => document.getElementById(id);
    this.chosen = { labels: null, source: null, images: [] };
    filesFrom(this.element("frames-drop"), [this.element("frames-files"), this.element("frames-folder")], (files) => this.take(files));
    this.element("upload").addEventListener("click", () => this.upload());
    this.element("upload-cancel").addEventListener("click", () => this.ending?.abort());
  }

  begin(rig) {
    this.rig = rig;
  }

  /** Sorts what was dropped by what it is; a second drop adds to the first. */
  async take(files) {
    tell(this.element("capture-refused"), "");
    const images = files.filter(({ path }) => isImage(path));
    for (const { file } of files) {
      const end = file.name.toLowerCase().split(".").pop();
      if (end === "json") this.chosen.labels = file;
      else if (end === "zip") this.chosen = { ...this.chosen, source: file, part: "frames", images: [] };
      else if (end === "npz") this.chosen = { ...this.chosen, source: file, part: "heatmaps", images: [] };
    }
    if (images.length) this.chosen = { ...this.chosen, source: null, part: "frames", images: framesOf(images, this.rig.cameras) };
    await this.list();
  }

  async list() {
    const { labels, source, images, part } = this.chosen;
    const rows = [];
    rows.push(labels ? line("good", labels.name, await this.readLabels(labels)) : line("quiet", "labels.json", "still to come"));
    if (source) rows.push(line("good", source.name, `${sizeOf(source.size)}, ${part}`));
    else if (images.length) rows.push(this.describe(images));
    else rows.push(line("quiet", "frames or heatmaps", "still to come"));
    this.element("files").replaceChildren(...rows);
    this.element("upload").disabled = !labels || !(source || images.length);
  }

  describe(images) {
    const frames = new Set(images.map(({ frame }) => frame)).size;
    const unknown = [...new Set(images.map(({ camera }) => camera))].filter((camera) => !this.rig.cameras.includes(camera));
    const bytes = images.reduce((sum, { file }) => sum + file.size, 0);
    const told = `${frames} frames, ${images.length} images, ${sizeOf(bytes)}`;
    return unknown.length
      ? line("warn", "images", `${told}; this rig has no camera ${unknown.slice(0, 3).join(", ")}. It has ${this.rig.cameras.join(", ")}.`)
      : line("good", "images", told);
  }

  /** How many frames are labelled, or that it cannot be read: what is in them the service checks. */
  async readLabels(file) {
    try {
      const { frames } = JSON.parse(await file.text());
      return `${frames.length} labelled frames`;
    } catch {
      return "this is no labels.json: it should hold {\"frames\": […]}";
    }
  }

  async upload() {
    const { labels, images, part } = this.chosen;
    this.ending = new AbortController();
    this.working(true);
    const show = (share, words) => this.progress(share, words);
    try {
      const source = this.chosen.source ?? await zipped(images, show, this.ending.signal);
      this.chosen.source = source;
      const capture = await sendCapture(this.rig.id, { labels, source, part }, { onProgress: show, signal: this.ending.signal });
      this.working(false);
      showCoverage(this.element("coverage"), capture);
      this.sealed(this.rig, capture);
    } catch (problem) {
      this.working(false);
      const at = problem.at ? `${problem.at}: ` : "";
      tell(this.element("capture-refused"), problem.name === "AbortError" ? "Cancelled; nothing was kept." : at + problem.message);
    }
  }

  working(isWorking) {
    this.isUploading = isWorking;
    this.element("upload").disabled = isWorking;
    this.element("upload-cancel").hidden = !isWorking;
    this.element("upload-progress").hidden = !isWorking;
    if (isWorking) tell(this.element("capture-refused"), "");
  }

  progress(share, words) {
    const [bar, text] = this.element("upload-progress").children;
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
    text.textContent = share === null || share === 1 ? words : `${words} ${Math.floor(100 * share)} %`;
  }

  isHalfDone() {
    return Boolean(this.isUploading);
  }
}

function line(look, name, told) {
  return made("li", "", made("span", `badge ${look}`, name), " ", made("span", "muted", told));
}
