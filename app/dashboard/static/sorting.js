// Tables that are sorted by their headings, and stay so when a new version of the page comes.

const NUMBER = /[-+−]?\d[\d,]*(\.\d+)?/;

function valueOf(cell) {
  if (cell.dataset.value !== undefined) return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  const text = cell.textContent.trim();
  if (!cell.classList.contains("num")) return text.toLowerCase();
  const found = text.match(NUMBER);
  return found ? Number(found[0].replace("−", "-").replaceAll(",", "")) : null;
}

/** What is not measured stands last, whichever way. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

function sort(table, column, sign) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
  rows.sort(([a], [b]) => compare(a, b, sign));
  body.append(...rows.map(([, row]) => row));
  [...table.tHead.rows[0].cells].forEach((heading, index) => {
    if (index === column) heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    else heading.removeAttribute("aria-sort");
  });
}

/** Listen to headings with a [data-sorts] button in `root`; answers a function that sorts again what was sorted. */
export function keepSorted(root) {
  const chosen = new Map(); // by the place of the table in the page: its element may be another by then
  const tables = () => [...root.querySelectorAll("table.sortable")];
  root.addEventListener("click", (event) => {
    const heading = event.target.closest("[data-sorts]")?.closest("th");
    if (!heading) return;
    const table = heading.closest("table"), isNumber = heading.classList.contains("num");
    const sorted = heading.getAttribute("aria-sort");
    const sign = sorted === "ascending" ? -1 : sorted === "descending" ? 1 : isNumber ? -1 : 1;
    chosen.set(tables().indexOf(table), [heading.cellIndex, sign]);
    sort(table, heading.cellIndex, sign);
  });
  return () => tables().forEach((table, place) => {
    if (chosen.has(place)) sort(table, ...chosen.get(place));
  });
}
