// A new rig in three steps: what each step has made is what the next begins with.

import { calibrationStep } from "./new_calibration.js";
import { framesStep } from "./new_frames.js";
import { startStep } from "./new_start.js";

const given = JSON.parse(document.getElementById("new-setup").textContent);
const STEPS = [1, 2, 3].map((number) => ({
  section: document.getElementById(`step-${number}`), mark: document.getElementById(`to-step-${number}`),
}));

/** Opens a step: its fields work, and whoever uses the keyboard or listens is taken to its title. */
function open(number, told = "") {
  STEPS.forEach(({ section, mark }, index) => {
    section.classList.toggle("done", index + 1 < number);
    section.classList.toggle("waits", index + 1 > number);
    for (const fieldset of section.querySelectorAll(":scope > fieldset, :scope > form > fieldset")) {
      // The first step opens its own once there is a calibration.
      fieldset.disabled = index + 1 !== number || index === 0 || !given.mayWrite;
    }
    if (index + 1 === number) mark.setAttribute("aria-current", "step");
    else mark.removeAttribute("aria-current");
  });
  if (number > 1) {
    const state = STEPS[number - 2].section.querySelector("[data-state]");
    state.textContent = told;
    state.className = "badge good";
    document.getElementById(`title-${number}`).focus({ preventScroll: true });
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    STEPS[number - 1].section.scrollIntoView({ behavior: isCalm ? "instant" : "smooth", block: "start" });
  }
}

const start = startStep();
const frames = framesStep((rig, capture) => {
  start.begin(rig, capture);
  open(3, `${capture.frames} frames`);
});
const calibration = calibrationStep(given, (rig) => {
  history.replaceState(null, "", `/rigs/${encodeURIComponent(rig.id)}/capture`);
  frames.begin(rig);
  open(2, `registered as ${rig.name}`);
});

open(1);
if (given.rig) {
  calibration.show(given.rig.document);
  frames.begin(given.rig);
  open(2, given.rig.name);
}

// A file that is dropped beside its place is not opened instead of this page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());

// Leaving with something half done asks; the browser has its own words for it.
addEventListener("beforeunload", (event) => {
  if (calibration.isHalfDone() || frames.isHalfDone()) event.preventDefault();
});
