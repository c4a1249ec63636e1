// Regions that are said to belong to a stem: marked by pointer or typed, listed, drawn.

import { button, choices, element, found } from "./rows.js";

const round = (value, digits) => Number(value.toFixed(digits));

export class Painting {
  // `does.refit(regions)` has all stems fitted again.
  constructor(does) {
    this.does = does;
    this.regions = [];
    this.scale = null; // { lowestHz, highestHz, duration }
    this.rows = [];
    this.sentAt = null; // the step to which the regions were given
    found("region").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
    for (const id of ["from-s", "to-s", "low-hz", "high-hz"]) {
      found(id).addEventListener("input", () => this.showMarked());
    }
    found("refit").addEventListener("click", () => does.refit(this.regions));
    found("clear-regions").addEventListener("click", () => this.clear());
  }

  offer(stems) {
    const taken = new Set(stems.map((stem) => stem.name));
    let n = 1;
    while (taken.has(`new-${n}`)) n += 1;
    choices(found("paint-stem"), [...stems.map((stem) => [stem.name, stem.shown]), [`new-${n}`, "a new stem"]]);
  }

  hertzAt(y) {
    const { lowestHz, highestHz } = this.scale;
    return lowestHz * (highestHz / lowestHz) ** y;
  }

  placeOf(hz) {
    const { lowestHz, highestHz } = this.scale;
    return Math.min(Math.max(Math.log(Math.max(hz, 1) / lowestHz) / Math.log(highestHz / lowestHz), 0), 1);
  }

  // A pointer was drawn over a row.
  mark(row, one, other) {
    if (!this.scale) return;
    const { duration } = this.scale;
    const ys = [one.y, other.y].sort((a, b) => a - b);
    const xs = [one.x, other.x].sort((a, b) => a - b);
    found("from-s").value = round(xs[0] * duration, 3);
    found("to-s").value = round(xs[1] * duration, 3);
    found("low-hz").value = ys[0] <= 0 ? 0 : round(this.hertzAt(ys[0]), 1);
    found("high-hz").value = ys[1] >= 1 ? "" : round(this.hertzAt(ys[1]), 1);
    this.row = row;
    this.showMarked();
  }

  typed() {
    const high = found("high-hz").value;
    return {
      start_s: Number(found("from-s").value),
      end_s: Number(found("to-s").value),
      low_hz: Number(found("low-hz").value),
      high_hz: high === "" ? null : Number(high),
    };
  }

  showMarked() {
    const rows = this.row ? [this.row] : this.rows.slice(0, 1);
    for (const row of this.rows) row.selection.hidden = true;
    const region = this.typed();
    if (!this.scale || !(region.end_s > region.start_s)) return;
    for (const row of rows) {
      row.selection.hidden = false;
      this.lay(row.selection, region);
    }
  }

  lay(box, region) {
    const { duration } = this.scale;
    const top = region.high_hz === null ? 1 : this.placeOf(region.high_hz);
    box.style.left = `${(100 * region.start_s) / duration}%`;
    box.style.width = `${(100 * (region.end_s - region.start_s)) / duration}%`;
    box.style.bottom = `${100 * this.placeOf(region.low_hz)}%`;
    box.style.height = `${100 * (top - this.placeOf(region.low_hz))}%`;
  }

  add() {
    const belongs = found("belongs").value === "yes";
    const stem = found("paint-stem");
    this.regions.push({ stem: stem.value, ...this.typed(), belongs, shown: stem.selectedOptions[0].text });
    this.row = null;
    this.show();
  }

  clear() {
    this.regions = [];
    this.show();
  }

  show() {
    for (const row of this.rows) row.selection.hidden = true;
    found("refit").disabled = !this.regions.length;
    found("clear-regions").disabled = !this.regions.length;
    found("regions").replaceChildren(...this.regions.map((region, index) => {
      const top = region.high_hz === null ? "the top" : `${region.high_hz} Hz`;
      const words = `${region.start_s} to ${region.end_s} s, ${region.low_hz} Hz to ${top} ${region.belongs ? "belongs" : "does not belong"} to `;
      const remove = button("Remove", `Remove region ${index + 1}`, () => {
        this.regions.splice(index, 1);
        this.show();
      });
      return element("li", {}, words, element("bdi", { textContent: region.shown }), " ", remove);
    }));
    for (const row of this.rows) {
      const mine = this.regions.filter((region) => !row.stem || row.stem.name === region.stem);
      row.regions.replaceChildren(...mine.map((region) => {
        const box = element("div", { className: "region" });
        this.lay(box, region);
        return box;
      }));
    }
  }
}
