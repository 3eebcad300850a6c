// Sending a capture: one request where it is small, tus where it is large, which goes on after a break.

import { ask, Problem, read } from "./new_api.js";

const LARGE = 16 * 2 ** 20; // as the Python client has it
const PIECE = 32 * 2 ** 20;
const BUSY = [1000, 2000, 5000, 10_000];
const finished = new WeakMap(); // what is with the service already, should its checking fail or be answered to nobody
const DELAYS = [0, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000];

/**
 * Sends labels and frames or heatmaps; `part` is the name of the latter. `onProgress(share, words)`; `signal` ends it.
 * Answers the capture; throws Problem, or an AbortError.
 */
export async function sendCapture(rigId, { labels, source, part }, { onProgress, signal }) {
  const path = `/v1/rigs/${encodeURIComponent(rigId)}/captures`;
  const form = new FormData();
  form.append("labels", labels, "labels.json");
  if (source.size < LARGE) {
    form.append(part, source, part === "frames" ? "frames.zip" : "heatmaps.npz");
    return post(path, form, { onProgress, signal });
  }
  const id = finished.get(source) ?? await sendLarge(source, { onProgress, signal });
  finished.set(source, id);
  onProgress(1, "Checking every frame …");
  return seal(`${path}?${part}_upload=${encodeURIComponent(id)}`, form, source, signal);
}

/** Has what was sent checked and sealed; a service that is busy, or about to restart, is asked again. */
async function seal(path, form, source, signal) {
  for (const delay of [...BUSY, null]) {
    try {
      return await ask(path, { body: form, signal });
    } catch (problem) {
      if (problem.status === 404) finished.delete(source); // it has expired meanwhile
      if (problem.status !== 503 || delay === null) throw problem;
    }
    await new Promise((done) => { setTimeout(done, delay); });
  }
}

/** One multipart request, whose progress only XMLHttpRequest tells. */
function post(path, form, { onProgress, signal }) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded / total, "Sending …"));
    request.upload.addEventListener("load", () => onProgress(1, "Checking every frame …"));
    request.addEventListener("load", () => {
      try {
        done(read(request.status, request.responseText));
      } catch (problem) {
        failed(problem);
      }
    });
    request.addEventListener("error", () => failed(new Problem(0, { detail: "The connection broke; nothing was kept. Try again." })));
    request.addEventListener("abort", () => failed(new DOMException("cancelled", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** The id of a finished upload; one that was broken off, here or on an earlier visit, goes on. */
async function sendLarge(source, { onProgress, signal }) {
  await import("./vendor/tus/tus.min.js");
  return new Promise((done, failed) => {
    const upload = new globalThis.tus.Upload(source, {
      endpoint: "/v1/uploads", chunkSize: PIECE, retryDelays: DELAYS, removeFingerprintOnSuccess: true,
      onProgress: (sent, total) => onProgress(sent / total, "Sending, in pieces …"),
      onShouldRetry: (error) => {
        const status = error.originalResponse?.getStatus() ?? 0;
        const goesOn = status === 0 || [409, 423, 429].includes(status) || status >= 500;
        if (goesOn) onProgress(null, "The connection broke; going on in a moment …");
        return goesOn;
      },
      onError: (error) => failed(problemOf(error)),
      onSuccess: () => done(upload.url.split("/").pop()),
    });
    signal.addEventListener("abort", () => {
      upload.abort(true).catch(() => undefined); // what is not ended expires after a day
      failed(new DOMException("cancelled", "AbortError"));
    });
    upload.findPreviousUploads().then((before) => {
      if (before.length) upload.resumeFromPreviousUpload(before[0]);
      upload.start();
    }, failed);
  });
}

function problemOf(error) {
  const answer = error.originalResponse;
  try {
    read(answer.getStatus(), answer.getBody());
  } catch (problem) {
    if (problem instanceof Problem) return problem;
  }
  return new Problem(0, { detail: "The service does not answer. Press Upload to go on where it broke off." });
}
