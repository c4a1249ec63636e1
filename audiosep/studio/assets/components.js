// Components as cards: seen, heard alone, and moved to another stem by hand or by choice.

import { bytesOf64, button, choices, element, found } from "./rows.js";

const { curve } = audiosepDrawing;
const HEIGHT = 56;

export class Components {
  // `does` has what a card can ask for: move(number, stem), alone(number or null).
  constructor(does) {
    this.does = does;
    this.cards = new Map();
    this.root = null;
    this.colours = matchMedia("(prefers-color-scheme: dark)");
    this.colours.addEventListener("change", () => this.draw());
  }

  fill(root, list) {
    this.root = root;
    this.cards = new Map(list.map((component) => [component.number, this.card(component)]));
    found("component-list").replaceChildren(...[...this.cards.values()].map((card) => card.whole));
    this.draw();
  }

  card(component) {
    const { number } = component;
    const whole = found("component").content.cloneNode(true).firstElementChild;
    const stem = element("bdi");
    whole.querySelector("figcaption").append(element("strong", { textContent: `${number}` }), ", in ", stem, `: ${component.words}`);
    whole.addEventListener("dragstart", (event) => {
      event.dataTransfer.setData("text/x-audiosep-component", String(number));
      event.dataTransfer.effectAllowed = "move";
    });
    const alone = button("Hear alone", `Hear alone: component ${number}`, () => this.does.alone(number));
    const target = element("select");
    target.setAttribute("aria-label", `Stem that component ${number} goes to`);
    const move = button("Move", `Move component ${number} there`, () => this.does.move(number, target.value));
    whole.querySelector(".buttons").append(alone, target, move);
    const canvas = (name) => whole.querySelector(name);
    canvas(".template").setAttribute("aria-label", `Spectrum of component ${number}`);
    canvas(".activation").setAttribute("aria-label", `Activation of component ${number} over time`);
    return { component, whole, stem, alone, target, canvas };
  }

  draw() {
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--played").trim();
    for (const { component, canvas } of this.cards.values()) {
      curve(canvas(".template"), bytesOf64(component.template), HEIGHT, colour);
      curve(canvas(".activation"), bytesOf64(component.activation), HEIGHT, colour);
    }
  }

  // Stems may be others; who is in which may have changed.
  show(stems, owners, alone) {
    const taken = new Set(stems.map((stem) => stem.name));
    let n = 1;
    while (taken.has(`new-${n}`)) n += 1;
    for (const [number, card] of this.cards) {
      const own = stems[owners[number - 1]];
      card.stem.textContent = own.shown;
      const others = stems.filter((stem) => stem !== own).map((stem) => [stem.name, stem.shown]);
      choices(card.target, [...others, [`new-${n}`, "a new stem"]]);
      card.alone.setAttribute("aria-pressed", String(alone === number));
      card.whole.classList.toggle("playing", alone === number);
    }
  }
}
