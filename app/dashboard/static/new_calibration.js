// The first step: a calibration in any format, its cameras in 3D at once, what looks wrong with it, and the rig.

import { filesFrom, sendJson, ask, tell, tellProblem } from "./new_api.js";
import { edited, RigForm } from "./new_document.js";
import { showFindings, showOverlap } from "./new_findings.js";
import { mountScene } from "./scene.js";

const PATIENCE_MS = 250; // between a change of a field and the next look

export function calibrationStep(given, registered) {
  return new Calibration(given, registered);
}

class Calibration {
  constructor(given, registered) {
    this.mayWrite = given.mayWrite;
    this.registered = registered;
    this.isRegistered = Boolean(given.rig);
    this.element = (id) => document.getElementById(id);
    this.form = new RigForm(this.element("rig-form"), given.setup, (document) => this.change(document));
    this.listen();
  }

  listen() {
    const zone = this.element("calibration-drop");
    filesFrom(zone, [this.element("calibration-file")], (files) => this.readFiles(files));
    this.element("calibration-look").addEventListener("click", () => {
      this.look(this.element("calibration-text").value, "the text below");
    });
    this.element("rig-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.register();
    });
    document.addEventListener("paste", (event) => {
      if (event.target.closest?.("input, textarea, select") || this.isRegistered) return;
      const text = event.clipboardData.getData("text");
      if (text.trim()) this.look(text, "what was pasted");
    });
  }

  async readFiles(files) {
    const texts = await Promise.all(files.map(({ file }) => file.text()));
    // EasyMocap writes two files that belong together.
    await this.look(texts.join("\n"), files.map(({ file }) => file.name).join(" and "));
    this.form.suggestName(files[0].file.name.split(".")[0]);
  }

  /** Looks at a text in whatever format it is. */
  async look(text, source) {
    const looked = await this.inspect(() => ask("/v1/calibrations/inspect", { body: text, headers: { "Content-Type": "text/plain" } }));
    if (looked) this.element("calibration-source").textContent = `${source}: ${this.answer.document.cameras.length} cameras`;
  }

  /** Looks at a document again, after something in it was changed. */
  change(document) {
    this.form.current = document;
    clearTimeout(this.waiting);
    this.turn = (this.turn ?? 0) + 1; // an answer about what it was before is late
    this.waiting = setTimeout(
      () => this.inspect(() => sendJson("/v1/calibrations/inspect", document)), PATIENCE_MS,
    );
  }

  /** Takes the answer, unless it is late; tells whether it did. */
  async inspect(asking) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const answer = await asking();
      if (turn === this.turn) this.take(answer);
      return turn === this.turn;
    } catch (problem) {
      if (turn === this.turn) tell(this.element("calibration-refused"), problem.message);
      return false;
    }
  }

  take(answer) {
    this.answer = answer;
    tell(this.element("calibration-refused"), "");
    this.element("calibration-text").value = textOf(answer.document);
    this.form.show(answer.document);
    this.draw(answer);
    showFindings(this.element("findings"), answer, {
      point: (ids) => this.scene?.highlight(ids),
      apply: (change) => this.change(edited(answer.document, change.edits)),
    });
    showOverlap(this.element("overlap"), answer);
    const state = this.element("step-1").querySelector("[data-state]");
    state.textContent = `${answer.document.cameras.length} cameras`;
    this.element("rig-form").querySelector("fieldset").disabled = !this.mayWrite || this.isRegistered;
    this.element("rig-form").querySelector("[type=submit]").disabled = answer.refused;
    this.element("rig-waits").textContent = answer.refused ? "For what is marked ✕ above the rig would be refused." : "";
  }

  /** Draws what could be placed; what is wrong with a camera is its mark. */
  draw(answer) {
    const { document, cameras, findings } = answer;
    const told = cameras.map((placed) => {
      const about = findings.filter((each) => each.severity !== "hint" && each.cameras.includes(placed.index));
      const written = document.cameras[placed.index];
      const t = placed.axes.map((axis) => -axis.reduce((sum, value, i) => sum + value * placed.centre[i], 0));
      return {
        id: placed.id, centre: placed.centre, R: placed.axes, t, K: written.K, width: written.width, height: written.height,
        state: about.some((each) => each.severity === "error") ? "bad" : about.length ? "warn" : undefined,
        note: about[0]?.code.replaceAll("_", " "),
      };
    });
    const volume = document.volume?.min && document.volume?.max ? document.volume : null;
    const rig = { units: document.units ?? "m", up: document.up ?? null, volume, cameras: told };
    if (this.scene) {
      this.scene.setRig(rig);
    } else {
      this.element("new-scene").replaceChildren();
      this.scene = mountScene(this.element("new-scene"), rig);
    }
  }

  /** Shows a rig that is registered already. */
  async show(document) {
    await this.inspect(() => sendJson("/v1/calibrations/inspect", document));
  }

  async register() {
    const refused = this.element("rig-refused");
    if (this.isRegistering) return; // pressed twice is meant once
    tell(refused, "");
    try {
      this.form.check();
      this.isRegistering = true;
      const rig = await sendJson("/v1/rigs", this.form.document());
      this.isRegistered = true;
      this.element("calibration-drop").hidden = true;
      this.element("rig-form").hidden = true;
      this.registered({ id: rig.id, name: rig.name, joints: rig.joints, cameras: rig.cameras.map(({ id }) => id) });
    } catch (problem) {
      tellProblem(refused, problem, this.element("rig-form"));
    } finally {
      this.isRegistering = false;
    }
  }

  isHalfDone() {
    return Boolean(this.answer) && !this.isRegistered && this.mayWrite;
  }
}

/** The document as text, each row of numbers in one line. */
function textOf(document) {
  return JSON.stringify(document, null, 1).replace(/\[[^[\]{}]*\]/g, (row) => row.replace(/\s+/g, " "));
}
