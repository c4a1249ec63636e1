// The mixture and its stems as rows: names, knobs, and spectrograms with a region that is marked.

import { bytes } from "./server.js";

const { spectrogram, hertz, seconds } = audiosepDrawing;
const SILENT_DB = -60; // the lowest place of a slider is silence
const LEAST_DRAG = 5; // pixels; less is a click

export const found = (id) => document.getElementById(id);

export function element(kind, properties = {}, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

export function button(words, label, press) {
  const made = element("button", { type: "button", textContent: words });
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", press);
  return made;
}

export const inDb = (value) => `${value > 0 ? "+" : ""}${value.toFixed(1).replace("-", "\u2212")} dB`;
const gainWords = (value) => (value <= SILENT_DB ? "\u2212\u221e dB" : inDb(value));

export const factorOf = (db) => (db <= SILENT_DB ? 0 : 10 ** (db / 20));

export function choices(select, values, chosen) {
  const before = chosen === undefined ? select.value : chosen;
  select.replaceChildren(...values.map(([value, words]) => new Option(words, value)));
  if (values.some(([value]) => value === before)) select.value = before;
}

// A slider with its title and words.
function slider(name, knobs, highestDb) {
  const words = element("output");
  const made = element("input", { type: "range", min: SILENT_DB, max: highestDb, step: 0.5 });
  made.setAttribute("aria-label", `Gain of ${name}`);
  const show = () => {
    const value = knobs.gain();
    words.textContent = gainWords(value);
    made.value = value;
    made.setAttribute("aria-valuetext", gainWords(value));
  };
  made.addEventListener("input", () => knobs.setGain(Number(made.value)));
  made.addEventListener("dblclick", () => knobs.setGain(0));
  return { whole: element("div", { className: "gain" }, element("span", {}, "Gain", words), made), show };
}

function marks(place, list, side) {
  place.replaceChildren(...list.map((mark) => {
    const made = element("span", { textContent: mark.text });
    made.style[side] = `${100 * mark.place}%`;
    return made;
  }));
}

export class Row {
  // `does` has what the row can ask for: seek, mark, drop, knobs of a stem, rename, merge.
  constructor(stem, does) {
    this.stem = stem;
    this.does = does;
    const made = found("row").content.cloneNode(true).firstElementChild;
    this.whole = made;
    const part = (name) => made.querySelector(name);
    const name = stem ? stem.shown : "Mixture";
    part("h3").append(element("bdi", { textContent: name }));
    made.setAttribute("aria-label", name);
    this.canvas = part("canvas");
    this.needle = part(".needle");
    this.selection = part(".selection");
    this.regions = part(".regions");
    this.scale = part(".scale");
    this.secondsPlace = part(".seconds");
    this.shows = [];
    if (stem) this.addKnobs(part(".buttons"), name);
    this.listen(part(".spectrum"));
  }

  addKnobs(place, name) {
    const { knobs } = this.does;
    const mute = button("Mute", `Mute ${name}`, knobs.mute);
    const solo = button("Solo", `Solo ${name}`, knobs.solo);
    const gain = slider(name, knobs, knobs.highestDb);
    this.shows.push(() => {
      mute.setAttribute("aria-pressed", String(knobs.isMuted()));
      solo.setAttribute("aria-pressed", String(knobs.isSoloed()));
      gain.show();
      this.whole.classList.toggle("quiet", knobs.factor() === 0);
    });
    place.append(mute, solo, gain.whole, this.changeForms(name));
  }

  changeForms(name) {
    const newName = element("input", { type: "text", value: this.stem.name, maxLength: 64, required: true });
    newName.setAttribute("aria-label", `New name of ${name}`);
    newName.autocomplete = "off";
    const rename = element("form", { className: "fields" }, newName, button("Rename", `Rename ${name}`, null));
    rename.lastElementChild.type = "submit";
    rename.addEventListener("submit", (event) => {
      event.preventDefault();
      this.does.rename(this.stem.name, newName.value);
    });
    this.into = element("select");
    this.into.setAttribute("aria-label", `Stem that ${name} goes into`);
    const merge = element("form", { className: "fields" }, this.into, button("Merge", `Merge ${name} into it`, null));
    merge.lastElementChild.type = "submit";
    merge.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.into.value) this.does.merge(this.stem.name, this.into.value);
    });
    const summary = element("summary", { textContent: "Rename or merge" });
    summary.setAttribute("aria-label", `Rename or merge ${name}`);
    return element("details", { className: "more" }, summary, rename, merge);
  }

  offer(stems) {
    if (!this.into) return;
    choices(this.into, stems.filter((one) => one.name !== this.stem.name).map((one) => [one.name, `into ${one.shown}`]));
  }

  listen(place) {
    let began = null;
    place.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      began = this.placeOf(event);
      place.setPointerCapture(event.pointerId);
    });
    place.addEventListener("pointermove", (event) => {
      if (!began) return;
      const now = this.placeOf(event);
      if (Math.abs(now.left - began.left) + Math.abs(now.top - began.top) >= LEAST_DRAG) {
        this.does.mark(this, began, now);
      }
    });
    place.addEventListener("pointerup", (event) => {
      if (!began) return;
      const now = this.placeOf(event);
      if (Math.abs(now.left - began.left) + Math.abs(now.top - began.top) < LEAST_DRAG) {
        this.does.seek(now.x);
      }
      began = null;
    });
    place.addEventListener("pointercancel", () => { began = null; });
    if (!this.stem) return;
    this.whole.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("text/x-audiosep-component")) return;
      event.preventDefault();
      this.whole.classList.add("over");
    });
    this.whole.addEventListener("dragleave", () => this.whole.classList.remove("over"));
    this.whole.addEventListener("drop", (event) => {
      this.whole.classList.remove("over");
      const number = Number(event.dataTransfer.getData("text/x-audiosep-component"));
      if (!number) return;
      event.preventDefault();
      this.does.drop(number, this.stem.name);
    });
  }

  // Where a pointer is: in pixels, and from 0 to 1 (x of time, y of frequency, from below).
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const within = (value) => Math.min(Math.max(value, 0), 1);
    return {
      left: event.clientX,
      top: event.clientY,
      x: within((event.clientX - box.left) / box.width),
      y: within(1 - (event.clientY - box.top) / box.height),
    };
  }

  async draw(address, drawing, duration) {
    if (!drawing || !address) {
      this.whole.classList.add("busy");
      return;
    }
    if (this.drawn === address) return;
    this.drawn = address;
    const picture = new Uint8Array(await bytes(`/picture/${address}`));
    if (this.drawn !== address) return;
    spectrogram(this.canvas, picture, drawing.columns);
    this.whole.classList.remove("busy");
    const range = `${Math.round(drawing.lowestHz)} to ${Math.round(drawing.highestHz)} Hz, 0 to ${duration.toFixed(1)} s`;
    this.canvas.setAttribute("aria-label", `Spectrogram of ${this.stem ? this.stem.shown : "the mixture"}, ${range}`);
    const scale = hertz(drawing.lowestHz, drawing.highestHz);
    marks(this.scale, scale.map((mark) => ({ ...mark, place: 1 - mark.place })), "top");
    marks(this.secondsPlace, seconds(duration), "left");
  }

  at(share) {
    this.needle.style.left = `${100 * share}%`;
  }

  show() {
    for (const show of this.shows) show();
  }
}

export function bytesOf64(base64) {
  return Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
}

export const confirmed = (words) => new Promise((resolve) => {
  const dialog = found("sure");
  found("sure-words").textContent = words;
  const end = (yes) => {
    dialog.close();
    resolve(yes);
  };
  found("sure-yes").onclick = () => end(true);
  found("sure-no").onclick = () => end(false);
  dialog.oncancel = () => resolve(false);
  dialog.showModal();
});
