"use strict";

(() => {
  const { EmbeddedPlayer, LinkedPlayer, bytesOf } = audiosepSound;
  const { spectrogram, curve, hertz, seconds, clock } = audiosepDrawing;
  const SILENT_DB = -60; // the lowest place of a slider is silence
  const data = JSON.parse(document.getElementById("data").textContent);
  const found = (id) => document.getElementById(id);
  const { duration, tracks } = data;
  const stems = tracks.filter((track) => !track.mixture);
  const state = {
    muted: new Set(),
    soloed: new Set(),
    gains: stems.map(() => 0),
    mixture: false,
  };
  const player = data.linked
    ? new LinkedPlayer(stems.map((stem) => stem.address), duration)
    : new EmbeddedPlayer(stems.map((_, index) => found(`sound-${index}`)), data.soundRate, duration, data.soundLevel);
  const rows = [];

  // --- what is heard ----------------------------------------------------------------------------

  function gainOf(index) {
    if (state.mixture) return 1;
    if (state.soloed.size ? !state.soloed.has(index) : state.muted.has(index)) return 0;
    const gain = state.gains[index];
    return gain <= SILENT_DB ? 0 : 10 ** (gain / 20);
  }

  function apply() {
    stems.forEach((_, index) => player.setGain(index, gainOf(index)));
    for (const row of rows) row.show();
  }

  function toggle(set, index) {
    if (!set.delete(index)) set.add(index);
    state.mixture = false;
    apply();
  }

  async function playOrPause() {
    if (found("play").disabled) return;
    if (player.playing) player.pause();
    else {
      try {
        await player.play();
      } catch (error) {
        complain(`The sound cannot be played: ${error.message}`);
      }
    }
    showTransport();
  }

  function seek(time) {
    player.seek(time);
    showTime();
  }

  // --- what is seen -----------------------------------------------------------------------------

  function complain(words) {
    const problem = found("problem");
    problem.textContent = words;
    problem.hidden = false;
    found("state").textContent = "";
  }

  function element(kind, properties = {}, ...children) {
    const made = Object.assign(document.createElement(kind), properties);
    made.append(...children);
    return made;
  }

  function button(words, label, press) {
    const made = element("button", { type: "button", textContent: words });
    made.setAttribute("aria-label", label);
    made.setAttribute("aria-pressed", "false");
    made.addEventListener("click", press);
    return made;
  }

  const inDb = (value) => `${value > 0 ? "+" : ""}${value.toFixed(1).replace("-", "\u2212")} dB`;
  const gainWords = (value) => (value <= SILENT_DB ? "\u2212\u221e dB" : inDb(value));
  const levelWords = (track) => (track.rmsDb === null
    ? "silent"
    : `peak ${inDb(track.peakDb)}, RMS ${inDb(track.rmsDb)}`);

  function slider(track, index) {
    const words = element("output", { textContent: gainWords(0) });
    const made = element("input", {
      type: "range", min: SILENT_DB, max: player.highestDb, step: 0.5, value: 0,
    });
    made.setAttribute("aria-label", `Gain of ${track.name}`);
    const show = () => {
      words.textContent = gainWords(state.gains[index]);
      made.value = state.gains[index];
      made.setAttribute("aria-valuetext", gainWords(state.gains[index]));
    };
    made.addEventListener("input", () => {
      state.gains[index] = Number(made.value);
      state.mixture = false;
      apply();
    });
    made.addEventListener("dblclick", () => {
      state.gains[index] = 0;
      apply();
    });
    const title = element("span", {}, "Gain", words);
    return { whole: element("div", { className: "gain" }, title, made), show };
  }

  // What wavesurfer.js takes for a media element: clicks on its picture come here as times.
  class Stand extends EventTarget {
    constructor() {
      super();
      Object.assign(this, {
        src: "", currentSrc: "", volume: 1, muted: false, playbackRate: 1, paused: true,
        ended: false, seeking: false, readyState: 4, duration,
      });
    }

    get currentTime() { return player.time(); }

    set currentTime(time) { seek(time); }

    play() { return Promise.resolve(); }

    pause() {}

    load() {}

    remove() {}

    removeAttribute() {}

    canPlayType() { return ""; }
  }

  function waveColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    return { waveColor: colour("--wave"), progressColor: colour("--played"), cursorColor: colour("--ink") };
  }

  function wave(container, track) {
    const stand = new Stand();
    const heights = (base64, sign) => Array.from(bytesOf(base64), (value) => (sign * value) / 255);
    const surfer = WaveSurfer.create({
      container,
      media: stand,
      duration,
      peaks: [heights(track.highest, 1), heights(track.lowest, -1)],
      height: 56,
      hideScrollbar: true,
      cspNonce: data.nonce,
      ...waveColours(),
    });
    return {
      tell: () => stand.dispatchEvent(new Event("timeupdate")),
      recolour: () => surfer.setOptions(waveColours()),
    };
  }

  function marks(place, found, style) {
    for (const mark of found) {
      const made = element("span", { textContent: mark.text });
      made.style[style] = `${100 * mark.place}%`;
      place.append(made);
    }
  }

  function addRow(track) {
    const made = found("row").content.cloneNode(true).firstElementChild;
    const part = (name) => made.querySelector(name);
    const index = track.mixture ? -1 : stems.indexOf(track);
    const name = element("bdi", { textContent: track.mixture ? "Mixture" : track.name });
    part("h3").append(name);
    made.setAttribute("aria-label", name.textContent);
    const live = element("span", { className: "live" });
    live.setAttribute("aria-hidden", "true");
    part(".level").append(element("span", {
      textContent: track.mixture ? "the sum of all stems" : levelWords(track),
    }), live);
    const shows = [];
    if (track.mixture) {
      const all = button("Hear it as it was", "Hear it as it was: the mixture, all stems at their own level", () => {
        state.mixture = !state.mixture;
        apply();
      });
      shows.push(() => all.setAttribute("aria-pressed", String(state.mixture)));
      part(".buttons").append(all);
    } else {
      const mute = button("Mute", `Mute ${track.name}`, () => toggle(state.muted, index));
      const solo = button("Solo", `Solo ${track.name}`, () => toggle(state.soloed, index));
      const gain = slider(track, index);
      shows.push(() => {
        mute.setAttribute("aria-pressed", String(state.muted.has(index)));
        solo.setAttribute("aria-pressed", String(state.soloed.has(index)));
        gain.show();
        made.classList.toggle("quiet", gainOf(index) === 0);
      });
      part(".buttons").append(mute, solo, gain.whole);
    }
    const canvas = part("canvas");
    const range = `${Math.round(data.lowestHz)} to ${Math.round(data.highestHz)} Hz, 0 to ${duration.toFixed(1)} s`;
    canvas.setAttribute("aria-label", `Spectrogram of ${name.textContent}, ${range}`);
    part(".wave").setAttribute("aria-label", `Waveform of ${name.textContent}`);
    found("rows").append(made);
    spectrogram(canvas, bytesOf(track.spectrogram), data.columns);
    marks(part(".scale"), hertz(data.lowestHz, data.highestHz).map((mark) => ({ ...mark, place: 1 - mark.place })), "top");
    marks(part(".seconds"), seconds(duration), "left");
    part(".spectrum").addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      seek((duration * (event.clientX - box.left)) / box.width);
    });
    const picture = wave(part(".wave"), track);
    const needle = part(".needle");
    rows.push({
      show: () => shows.forEach((show) => show()),
      at: (time) => {
        needle.style.left = `${(100 * time) / duration}%`;
        picture.tell();
      },
      recolour: picture.recolour,
      level: () => {
        const level = index < 0 ? null : player.levelDb(index);
        live.textContent = level === null || level < -90 ? "" : `now ${inDb(level)}`;
      },
    });
  }

  function addComponent(component) {
    const made = found("component").content.cloneNode(true).firstElementChild;
    const canvas = (name) => made.querySelector(name);
    made.querySelector("figcaption").append(
      `${component.number}, in `,
      element("bdi", { textContent: component.stem }),
      `: ${component.words}`,
    );
    canvas(".template").setAttribute("aria-label", `Spectrum of component ${component.number}`);
    canvas(".activation").setAttribute("aria-label", `Activation of component ${component.number} over time`);
    found("component-list").append(made);
    const draw = () => {
      const colour = waveColours().progressColor;
      curve(canvas(".template"), bytesOf(component.template), 72, colour);
      curve(canvas(".activation"), bytesOf(component.activation), 72, colour);
    };
    draw();
    return draw;
  }

  function showTime() {
    const time = player.time();
    found("position").value = time;
    const words = `${clock(time)} of ${clock(duration)}`;
    found("position").setAttribute("aria-valuetext", words);
    const tenths = (value) => {
      const whole = Math.round(10 * value);
      return `${clock(whole / 10)}.${whole % 10}`;
    };
    found("clock").textContent = `${tenths(time)} / ${tenths(duration)}`;
    for (const row of rows) row.at(time);
  }

  function showTransport() {
    found("play").textContent = player.playing ? "Pause" : "Play";
    showTime();
    for (const row of rows) row.level();
  }

  let frames = 0;
  function follow() {
    if (player.playing) {
      showTime();
      frames += 1;
      if (frames % 8 === 0) for (const row of rows) row.level();
    }
    requestAnimationFrame(follow);
  }

  // --- what is pressed --------------------------------------------------------------------------

  // Space presses what has the focus, where that can be pressed; everywhere else it plays.
  const PRESSED = "button, summary, a, select, textarea, input:not([type='range'])";

  function listen() {
    found("play").addEventListener("click", playOrPause);
    found("position").addEventListener("input", (event) => seek(Number(event.target.value)));
    found("reset").addEventListener("click", () => {
      state.muted.clear();
      state.soloed.clear();
      state.gains.fill(0);
      state.mixture = false;
      apply();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof Element && event.target.closest(PRESSED)) return;
      event.preventDefault();
      playOrPause();
    });
    found("copy").addEventListener("click", copy);
    player.onchange = showTransport;
  }

  async function copy() {
    const text = found("command").textContent;
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch { // pages from a disk may not, in some browsers
      const range = document.createRange();
      range.selectNodeContents(found("command"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
    }
    found("copied").textContent = done ? "Copied." : "Selected: copy it with Ctrl+C.";
  }

  async function begin() {
    document.title = `${found("track").textContent} \u2013 audiosep report`;
    found("position").max = duration;
    for (const track of tracks) addRow(track);
    const redraws = (data.components || []).map(addComponent);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const row of rows) row.recolour();
      for (const redraw of redraws) redraw();
    });
    listen();
    apply();
    showTransport();
    follow();
    // The page is seen before the sound is there.
    await new Promise((resolve) => { setTimeout(resolve, 0); });
    try {
      await player.load((n, all) => {
        found("state").textContent = `Loading the sound: ${n} of ${all} stems …`;
      });
      found("state").textContent = "";
      found("play").disabled = false;
    } catch (error) {
      complain(error.message);
    }
  }

  const ready = begin();
  window.audiosepReport = {
    ready,
    seek,
    measure: () => player.measure(),
    time: () => player.time(),
    playing: () => player.playing,
  };
})();
