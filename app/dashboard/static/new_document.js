// The rig's document and the fields that change it: the document is what counts, the fields show it.

import { Problem } from "./new_api.js";

/** The document after edits, each a JSON pointer and a value. */
export function edited(document, edits) {
  const copy = structuredClone(document);
  for (const { path, value } of edits) {
    const steps = path.slice(1).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = steps.pop();
    const place = steps.reduce((inner, step) => inner[step], copy);
    if (value === null && !Array.isArray(place)) delete place[last];
    else place[last] = value;
  }
  return copy;
}

/** The fields below a calibration. `changed` hears of a document whose geometry was changed in them. */
export class RigForm {
  constructor(form, setup, changed) {
    this.form = form;
    this.setup = setup;
    this.changed = changed;
    this.field = (id) => form.querySelector(`#rig-${id}`);
    this.corners = [...form.querySelectorAll("[data-volume]")];
    this.field("units").addEventListener("change", () => this.change({ units: this.field("units").value }));
    this.field("up").addEventListener("change", () => this.change({ up: this.up() }));
    this.field("joints").addEventListener("change", () => this.noteJoints());
    for (const corner of this.corners) corner.addEventListener("change", () => this.changeVolume());
  }

  /** Shows a document; what the person has typed of name and joints stays. */
  show(document) {
    this.current = document;
    this.suggestName(document.name ?? "");
    if (document.joints && this.shownJoints !== document.joints) this.field("joints").value = this.shownJoints = document.joints;
    this.field("units").value = document.units ?? "m";
    this.showUp(document.up);
    const typing = this.corners.includes(this.form.ownerDocument.activeElement);
    for (const corner of typing ? [] : this.corners) {
      const [end, axis] = corner.dataset.volume.split(" ");
      corner.value = document.volume?.[end]?.[axis] ?? "";
    }
    this.noteJoints();
  }

  showUp(up) {
    const select = this.field("up"), value = up ? up.join(",") : "";
    if (![...select.options].some((option) => option.value === value)) select.add(new Option(`[${up.join(", ")}]`, value));
    select.value = value;
  }

  suggestName(name) {
    if (!this.field("name").value) this.field("name").value = name;
  }

  noteJoints() {
    const chosen = this.setup.skeletons.find(({ name }) => name === this.field("joints").value);
    this.form.querySelector("#joints-note").hidden = !chosen || chosen.predicted;
  }

  up() {
    return this.field("up").value ? this.field("up").value.split(",").map(Number) : null;
  }

  change(members) {
    const next = { ...this.current, ...members };
    for (const [name, value] of Object.entries(members)) if (value === null) delete next[name];
    this.current = next; // what is changed next, or sent before this was looked at, has it
    this.changed(next);
  }

  /** All six numbers are a volume, none is none; in between the person is still typing. */
  changeVolume() {
    const typed = this.corners.filter((corner) => corner.value.trim());
    const values = this.corners.map((corner) => Number(corner.value.replace(",", ".")));
    for (const [index, corner] of this.corners.entries()) corner.setAttribute("aria-invalid", String(Number.isNaN(values[index])));
    if (!typed.length) this.change({ volume: null });
    else if (typed.length === 6 && !values.some(Number.isNaN)) {
      this.change({ volume: { min: values.slice(0, 3), max: values.slice(3) } });
    }
  }

  /** Throws Problem where there is no name yet, or a volume is half typed: the document has it as it was before. */
  check() {
    if (!this.field("name").value.trim()) throw new Problem(422, { detail: "The rig needs a name.", at: "name" });
    const good = this.corners.filter(({ value }) => value.trim() && !Number.isNaN(Number(value.replace(",", "."))));
    if (good.length === 6 || this.corners.every(({ value }) => !value.trim())) return;
    throw new Problem(422, { detail: "A volume is six numbers, or none.", at: "volume" });
  }

  /** What is sent to register. */
  document() {
    const tags = this.field("tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
    const studio = this.field("studio")?.value.trim();
    return {
      ...this.current, name: this.field("name").value.trim(), joints: this.field("joints").value,
      ...(tags.length ? { tags } : {}), ...(studio ? { studio } : {}),
    };
  }
}
