// The matrix of pairs: switched between what it shows, gone through with pointer or keys, each pair told in words.

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export class PairMatrix {
  /** `read` answers the data of the page as it is; `highlight` is called with the cameras of the pair looked at. */
  constructor(page, read, highlight) {
    Object.assign(this, { page, read, highlight, shown: null, place: [0, 1] });
    page.addEventListener("click", (event) => {
      const chip = event.target.closest("a[data-measure]");
      if (!chip || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.shown = chip.dataset.measure;
      history.replaceState(null, "", chip.href);
      this.refresh();
    });
    page.addEventListener("pointerover", (event) => this.look(event.target.closest(".matrix td")));
    page.addEventListener("focusin", (event) => this.look(event.target.closest(".matrix td")));
    page.addEventListener("keydown", (event) => this.press(event));
    this.refresh();
  }

  get table() {
    return this.page.querySelector("table.matrix");
  }

  cell([row, column]) {
    return this.table?.tBodies[0].rows[row]?.cells[column + 1];
  }

  /** Show what was chosen, whatever the server's version of the page shows. */
  refresh() {
    this.data = this.read();
    if (!this.table) return;
    const current = this.page.querySelector("a[data-measure][aria-current]")?.dataset.measure;
    const measure = this.data.measures.find(({ key }) => key === this.shown) ?? this.data.measures.find(({ key }) => key === current);
    if (measure && measure.key !== current) this.show(measure);
    this.cell(this.place)?.setAttribute("tabindex", "0");
  }

  show(measure) {
    for (const chip of this.page.querySelectorAll("a[data-measure]")) {
      chip.toggleAttribute("aria-current", false);
      if (chip.dataset.measure === measure.key) chip.setAttribute("aria-current", "true");
    }
    this.page.querySelector("#pairs-about").textContent = measure.about;
    this.data.cells[measure.key].forEach((cells, row) => cells.forEach((told, column) => {
      if (!told) return;
      const cell = this.cell([row, column]);
      [cell.textContent, cell.className] = told;
    }));
  }

  look(cell) {
    if (!cell) return;
    const row = cell.parentElement.rowIndex - 1, column = cell.cellIndex - 1;
    if (row === column || row < 0) return;
    const { cameras, measures, cells, notes } = this.data;
    const figures = measures.map(({ key, title }) => `${title.toLowerCase()} ${cells[key][row][column]?.[0] ?? "–"}`);
    const note = notes[`${row},${column}`];
    this.page.querySelector("#pairs-told").textContent =
      `${cameras[row]} told by ${cameras[column]}: ${figures.join(", ")}.${note ? ` ${note}` : ""}`;
    this.highlight([cameras[row], cameras[column]]);
  }

  press(event) {
    const cell = event.target.closest(".matrix td"), step = STEPS[event.key];
    if (!cell || !step) return;
    event.preventDefault();
    const count = this.data.cameras.length, within = (value) => Math.max(0, Math.min(count - 1, value));
    let [row, column] = [cell.parentElement.rowIndex - 1, cell.cellIndex - 1];
    do {
      const next = [within(row + step[0]), within(column + step[1])];
      if (next[0] === row && next[1] === column) return;
      [row, column] = next;
    } while (row === column);
    cell.removeAttribute("tabindex");
    this.place = [row, column];
    this.cell(this.place).setAttribute("tabindex", "0");
    this.cell(this.place).focus();
  }
}
