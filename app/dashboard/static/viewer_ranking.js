// Looks through all frames, one after another, and lists those first whose views agree least.

const unknown = (value) => (value === null || value === undefined ? "–" : value.toFixed(1));

/** `frames` are {key, name}; `read(key)` answers a frame's document; `go(key)` shows a frame. */
export function rankWith({ frames, read, go }) {
  const button = document.getElementById("rank"), words = document.getElementById("ranked");
  const table = document.getElementById("ranking");
  let running = null;

  button.addEventListener("click", async () => {
    if (running) {
      running.stopped = true;
      return;
    }
    running = { stopped: false };
    button.textContent = "Stop";
    const found = [], all = frames();
    for (const frame of all) {
      if (running.stopped) break;
      try {
        found.push({ ...frame, figures: (await read(frame.key)).figures });
      } catch (error) {
        words.textContent = error.message;
        break;
      }
      words.textContent = `${found.length} of ${all.length} frames looked at.`;
      if (found.length % 5 === 0 || found.length === all.length) list(found);
    }
    list(found);
    running = null;
    button.textContent = "Look through all";
  });

  function list(found) {
    const worst = [...found].sort((a, b) => (b.figures.reprojection_px.after ?? 1e9) - (a.figures.reprojection_px.after ?? 1e9));
    table.hidden = !found.length;
    table.tBodies[0].replaceChildren(...worst.map(row));
  }

  function row({ key, name, figures }) {
    const line = document.createElement("tr");
    const open = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: name });
    open.addEventListener("click", () => go(key));
    const seen = figures.found ? `${figures.found.after} of ${figures.labelled}` : "–";
    const cells = [open, `${unknown(figures.reprojection_px.after)} px`, seen].map((content, place) => {
      const cell = Object.assign(document.createElement("td"), { className: place ? "num" : "" });
      cell.append(content);
      return cell;
    });
    line.append(...cells);
    return line;
  }

  return { forget: () => { table.hidden = true; table.tBodies[0].replaceChildren(); } };
}
