// The page of the studio: one state, told by the server, and what is done to it from here.

import { Components } from "./components.js";
import { Painting } from "./painting.js";
import { Player } from "./player.js";
import { Row, choices, confirmed, element, factorOf, found } from "./rows.js";
import { Lost, Refused, act, bytes, follow, json, upload, wordsOf } from "./server.js";

const { clock } = audiosepDrawing;

let state = null;
let player = null;
let rows = [];
let busy = false; // between asking for something and its answer
const mixer = { muted: new Set(), soloed: new Set(), gains: new Map(), whole: false, alone: null };
const said = { problem: 0, notice: 0 };
let shownKey = ""; // of the recording that the rows are of
let shownStems = "";
let suggested = { folder: "", dictionary: "" };
let movedAt = null;
let tuning = 0; // changes of sound that are not heard yet

// --- words ---------------------------------------------------------------------------------------

function complain(words) {
  const place = found("problem");
  place.hidden = !words;
  place.textContent = words;
}

function say(words) {
  found("notice").textContent = words;
}

// --- asking --------------------------------------------------------------------------------------

async function ask(name, asked = {}) {
  if (busy) return;
  busy = true;
  complain("");
  try {
    take(await act(name, { ...asked, version: state.version }));
  } catch (error) {
    complain(wordsOf(error));
  } finally {
    busy = false;
  }
}

const mayLose = async () => !state.open?.unsaved
  || confirmed("What was done since it was last saved would be lost.");

async function send(file) {
  if (busy || !file || !(await mayLose())) return;
  busy = true;
  complain("");
  try {
    say(`Reading ${file.name} …`);
    const { mostUpload } = state;
    if (file.size > mostUpload) {
      throw new Refused(`${file.name} has ${(file.size / 1e9).toFixed(1)} GB, and the studio takes ${mostUpload / 1e9} GB at most; start it with 'audiosep studio FILE' for a larger one.`);
    }
    take(await upload(file, state.version, (share) => say(`Reading ${file.name}: ${Math.round(100 * share)}%`)));
    say("");
  } catch (error) {
    say("");
    complain(wordsOf(error));
  } finally {
    busy = false;
    found("file").value = "";
  }
}

// --- what is heard -------------------------------------------------------------------------------

function gainOf(name) {
  if (mixer.alone !== null) return 0;
  if (mixer.whole) return 1;
  if (mixer.soloed.size ? !mixer.soloed.has(name) : mixer.muted.has(name)) return 0;
  return factorOf(mixer.gains.get(name) ?? 0);
}

function apply() {
  if (!state?.open) return;
  for (const stem of state.open.stems) player.setGain(`stem ${stem.name}`, gainOf(stem.name));
  found("whole").setAttribute("aria-pressed", String(mixer.whole));
  for (const row of rows) row.show();
  if (state.open.root !== null) components.show(state.open.stems, state.open.owners, mixer.alone);
}

function tune() {
  const { open } = state;
  const wanted = open.stems.map((stem) => ({
    key: `stem ${stem.name}`, address: `/sound/${stem.sound}`, gain: gainOf(stem.name),
  }));
  if (mixer.alone !== null) {
    const address = `/sound/component/${open.root}/${mixer.alone}`;
    wanted.push({ key: `component ${mixer.alone}`, address, gain: 1 });
  }
  tuning += 1;
  return player.tune(wanted).finally(() => { tuning -= 1; });
}

function knobsOf(name) {
  const toggle = (set) => {
    if (!set.delete(name)) set.add(name);
    mixer.whole = false;
    hearAll();
  };
  return {
    highestDb: player.highestDb,
    mute: () => toggle(mixer.muted),
    solo: () => toggle(mixer.soloed),
    isMuted: () => mixer.muted.has(name),
    isSoloed: () => mixer.soloed.has(name),
    gain: () => mixer.gains.get(name) ?? 0,
    setGain: (value) => {
      mixer.gains.set(name, value);
      mixer.whole = false;
      hearAll();
    },
    factor: () => gainOf(name),
  };
}

function hearAll() {
  const was = mixer.alone;
  mixer.alone = null;
  apply();
  if (was !== null) tune();
}

function hearAlone(number) {
  mixer.alone = mixer.alone === number ? null : number;
  apply();
  tune();
  if (mixer.alone !== null && !player.playing) playOrPause();
}

async function playOrPause() {
  if (!player) return;
  if (player.playing || player.starting) player.pause();
  else {
    found("state").textContent = "";
    try {
      await player.play();
    } catch (error) {
      complain(error instanceof Refused || error instanceof Lost
        ? wordsOf(error) : `The sound cannot be played: ${error.message}`);
    }
  }
  showTransport();
}

function seek(time) {
  if (!player) return;
  player.seek(time);
  showTime();
}

// --- what is done --------------------------------------------------------------------------------

function move(number, stem) {
  movedAt = performance.now();
  hearAll();
  return ask("move", { component: number, to: stem });
}

// Knobs stay with the sound when its stem gets another name.
async function rename(stem, name) {
  const wanted = name.trim();
  await ask("rename", { stem, name: wanted });
}

const painting = new Painting({
  refit: (regions) => {
    painting.sentAt = state.open.step;
    return ask("paint", { regions: regions.map(({ shown, ...region }) => region) });
  },
});

const components = new Components({ move, alone: hearAlone });

// --- what is seen --------------------------------------------------------------------------------

function take(now) {
  if (state && now.serial < state.serial) return;
  const before = state;
  state = { ...before, ...now };
  if (now.problem.number > said.problem) complain(now.problem.text);
  if (now.notice.number > said.notice) say(now.notice.text);
  Object.assign(said, { problem: now.problem.number, notice: now.notice.number });
  showJob();
  showStart();
  if (state.open) showOpen();
  else if (before?.open || !before) showNothing();
}

function showJob() {
  const { job } = state;
  found("job").hidden = !job;
  found("separate").disabled = Boolean(job);
  if (!job) return;
  found("job-words").textContent = job.words;
  found("job-bar").value = job.fraction;
  found("job-stage").textContent = `${Math.round(100 * job.fraction)}%, ${job.stage}`;
}

function showStart() {
  const { recording, open, presets } = state;
  found("start").hidden = Boolean(open) && !recording;
  found("drop").hidden = Boolean(open);
  found("split").hidden = !recording;
  if (presets && !found("preset").options.length) {
    choices(found("preset"), presets.map((preset) => [preset.name, preset.name]));
    showPreset();
  }
  if (!recording) return;
  found("recording").textContent = recording.name;
  found("recording-about").textContent = recording.about;
  found("separate").textContent = open ? "Separate again" : "Separate";
  if (!open) found("title").textContent = recording.name;
}

function showPreset() {
  const preset = state.presets.find((one) => one.name === found("preset").value);
  found("preset-words").textContent = preset.summary;
  found("sources-label").hidden = !preset.free;
}

const SECTIONS = ["mixer", "paint", "keep"];

function showNothing() {
  for (const id of [...SECTIONS, "components"]) found(id).hidden = true;
  if (player) player.close();
  player = null;
  rows = [];
  shownKey = shownStems = "";
  if (!state.recording) found("title").textContent = "Choose a recording";
}

function showOpen() {
  const { open } = state;
  const duration = open.samples / open.sr;
  const key = [open.name, open.sr, open.channels, open.samples].join("/");
  if (key !== shownKey) {
    if (player) player.close();
    shownKey = key;
    player = new Player(open, (path) => bytes(path));
    player.onchange = showTransport;
    player.onproblem = (error) => complain(wordsOf(error));
    Object.assign(mixer, { muted: new Set(), soloed: new Set(), gains: new Map(), whole: false, alone: null });
    painting.regions = [];
    shownStems = "";
    found("position").max = duration;
  }
  found("title").textContent = open.name;
  document.title = `${open.name} \u2013 audiosep studio`;
  for (const id of SECTIONS) found(id).hidden = false;
  if (mixer.alone !== null && open.root === null) mixer.alone = null;
  if (painting.sentAt !== null && painting.sentAt !== open.step) painting.regions = []; // they are heard
  if (painting.sentAt !== open.step) painting.sentAt = null;
  const tuned = tune();
  if (movedAt !== null) {
    const began = movedAt;
    movedAt = null;
    tuned.then(() => { player.moveTook = player.heard === null ? null : player.heard - began; });
  }
  const names = JSON.stringify(open.stems.map((stem) => stem.name));
  if (names !== shownStems) buildRows(names);
  if (open.drawing) painting.scale = { ...open.drawing, duration };
  drawAll(duration);
  showComponents();
  showKept();
  found("undo").disabled = open.at === 0;
  found("redo").disabled = open.at === open.steps.length - 1;
  apply();
  painting.show();
  showTransport();
}

function buildRows(names) {
  const { open } = state;
  const focused = document.activeElement?.getAttribute("aria-label");
  const does = {
    seek: (share) => seek(share * player.duration),
    mark: (row, one, other) => painting.mark(row, one, other),
    drop: move,
    rename,
    merge: (stem, into) => ask("merge", { stem, into }),
  };
  const old = new Map(rows.map((row) => [row.stem ? row.stem.name : null, row]));
  rows = [null, ...open.stems].map((stem) => {
    const known = old.get(stem ? stem.name : null);
    return known || new Row(stem, stem ? { ...does, knobs: knobsOf(stem.name) } : does);
  });
  found("rows").replaceChildren(...rows.map((row) => row.whole));
  for (const row of rows) row.offer(open.stems);
  painting.rows = rows;
  painting.offer(open.stems);
  choices(found("learn-stem"), open.stems.map((stem) => [stem.name, stem.shown]));
  shownStems = names;
  if (focused) [...document.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
}

function drawAll(duration) {
  const { open } = state;
  const failed = (error) => complain(wordsOf(error));
  rows.forEach((row, index) => {
    const address = index ? open.stems[index - 1].picture : open.drawing?.mixture;
    row.draw(address, open.drawing, duration).catch(failed);
  });
}

async function showComponents() {
  const { open } = state;
  found("components").hidden = open.root === null;
  if (open.root === null || components.root === open.root) return;
  components.root = open.root;
  try {
    const list = await json(`/api/components/${open.root}`);
    if (state.open?.root !== open.root) return;
    components.fill(open.root, list);
    apply();
  } catch (error) {
    components.root = null;
    complain(wordsOf(error));
  }
}

function showKept() {
  const { open } = state;
  const folder = found("folder");
  if (!folder.value || folder.value === suggested.folder) folder.value = open.folder;
  suggested.folder = open.folder;
  suggestDictionary();
  found("steps").replaceChildren(...open.steps.map((words, index) => {
    const made = element("li", { textContent: words });
    if (index === open.at) made.setAttribute("aria-current", "step");
    if (index > open.at) made.className = "undone";
    return made;
  }));
}

function suggestDictionary() {
  const file = found("dictionary");
  const wanted = `${found("learn-stem").value}.safetensors`;
  if (!file.value || file.value === suggested.dictionary) file.value = wanted;
  suggested.dictionary = wanted;
}

function showTime() {
  if (!player) return;
  const time = player.time();
  const { duration } = player;
  found("position").value = time;
  found("position").setAttribute("aria-valuetext", `${clock(time)} of ${clock(duration)}`);
  const tenths = (value) => {
    const whole = Math.round(10 * value);
    return `${clock(whole / 10)}.${whole % 10}`;
  };
  found("clock").textContent = `${tenths(time)} / ${tenths(duration)}`;
  for (const row of rows) row.at(time / duration);
}

function showTransport() {
  found("play").textContent = player?.playing ? "Pause" : "Play";
  showTime();
}

function animate() {
  if (player?.playing) showTime();
  requestAnimationFrame(animate);
}

// --- what is pressed -----------------------------------------------------------------------------

// Space presses what has the focus, where that can be pressed; everywhere else it plays.
const PRESSED = "button, summary, a, select, textarea, dialog, input:not([type='range'])";

function listen() {
  const on = (id, kind, does) => found(id).addEventListener(kind, does);
  const submit = (id, does) => on(id, "submit", (event) => {
    event.preventDefault();
    does();
  });
  on("play", "click", playOrPause);
  on("position", "input", (event) => seek(Number(event.target.value)));
  on("whole", "click", () => {
    mixer.whole = !mixer.whole;
    hearAll();
  });
  on("reset", "click", () => {
    Object.assign(mixer, { muted: new Set(), soloed: new Set(), gains: new Map(), whole: false });
    hearAll();
  });
  on("undo", "click", () => ask("undo"));
  on("redo", "click", () => ask("redo"));
  on("job-cancel", "click", () => ask("cancel", { job: state.job?.number }));
  on("preset", "change", showPreset);
  on("file", "change", (event) => send(event.target.files[0]));
  on("learn-stem", "change", suggestDictionary);
  submit("split", () => {
    const n = found("sources-label").hidden ? "" : found("sources").value;
    ask("split", { preset: found("preset").value, n_sources: n === "" ? null : Number(n) });
  });
  submit("save", () => ask("save", { folder: found("folder").value, replace: found("replace").checked }));
  submit("learn", () => ask("learn", { stem: found("learn-stem").value, file: found("dictionary").value }));
  on("close", "click", async () => {
    if (await mayLose()) ask("close");
  });
  const drop = found("drop");
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") send(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest(PRESSED)) return;
    event.preventDefault();
    playOrPause();
  });
  window.addEventListener("beforeunload", (event) => {
    if (state?.open?.unsaved || state?.job) event.preventDefault();
  });
}

listen();
animate();
follow(take, (error) => complain(wordsOf(error)));
window.audiosepStudio = {
  seek,
  state: () => state,
  measure: () => player?.measure() ?? null,
  time: () => player?.time() ?? 0,
  playing: () => Boolean(player?.playing || player?.starting),
  tuned: () => !tuning,
  wave: () => player?.wave() ?? [],
  moveTook: () => player?.moveTook ?? null,
};
