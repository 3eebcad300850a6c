// The third step: the adaptation is started once, however often the button is pressed or the connection breaks.

import { sendJson, tell } from "./new_api.js";

export function startStep() {
  const form = document.getElementById("start-form"), refused = document.getElementById("start-refused");
  let rig, capture, key;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    const { method, priority } = Object.fromEntries(new FormData(form));
    const asked = `${capture.id} ${method} ${priority}`;
    if (key?.asked !== asked) key = { asked, value: keyOf() };
    tell(refused, "");
    button.disabled = true;
    try {
      const path = `/v1/rigs/${encodeURIComponent(rig.id)}/adaptations`;
      const job = await sendJson(path, { capture: capture.id, method, priority }, { "Idempotency-Key": key.value });
      location.assign(`/adaptations/${encodeURIComponent(job.id)}`);
    } catch (problem) {
      tell(refused, problem.at ? `${problem.at}: ${problem.message}` : problem.message);
      button.disabled = false;
    }
  });
  return { begin: (ofRig, ofCapture) => { rig = ofRig; capture = ofCapture; } };
}

/** A name for this start; crypto.randomUUID wants TLS, which a studio's own network may not have. */
function keyOf() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
