// Frames of requests: new ones appear by themselves, and an administrator says how many are kept.

import { notice, problemOf } from "./app.js";
import { json } from "./viewer_data.js";

const LOOK_EVERY_MS = 5000;

/** Calls `changed` with [{key, name, at}], the newest first, whenever the kept frames of a rig are others. */
export function watchKept(rig, changed) {
  let last = null;
  const look = async () => {
    if (document.hidden) return;
    try {
      const { items } = await json(`/v1/rigs/${encodeURIComponent(rig)}/request-frames?limit=200`);
      const seen = items.map(({ id }) => id).join();
      if (last !== null && seen !== last) changed(items.map(({ id, frame, created_at: at }) => ({ key: id, name: frame, at })));
      last = seen;
    } catch {
      // It is tried again; the page says elsewhere that the service is away.
    }
  };
  look();
  setInterval(look, LOOK_EVERY_MS);
  document.addEventListener("visibilitychange", look);
}

/** The form that says how many frames are kept. */
export function askHowMany() {
  const form = document.getElementById("keeping-form");
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const kept = Number(new FormData(form).get("kept"));
    const answer = await fetch(`/v1/rigs/${encodeURIComponent(form.dataset.rig)}`, {
      method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ request_frames_kept: kept }),
    });
    if (answer.ok) {
      document.getElementById("kept").textContent = kept ? `the newest ${kept} are kept` : "none are kept";
      notice(kept ? `The newest ${kept} frames are kept.` : "No frames are kept.");
      form.closest("dialog").close();
    } else {
      notice(problemOf(await answer.text(), answer.status), true);
    }
  });
}
