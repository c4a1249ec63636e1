// Stems that sound together, fetched in blocks around the place that is heard. A stem whose sound
// becomes another one changes over in the middle of a block, together with all that change with it.

const LEAD_S = 0.06; // all stems are told to start at one time that is still to come
const AHEAD_S = 10; // so much is fetched before it is heard
const TICK_MS = 150;
const MOST_BYTES = 250e6; // of all blocks that are kept
const { RAMP_S } = audiosepLevels; // of changes, too

export class Player {
  constructor({ sr, channels, samples, block }, fetchBlock) {
    Object.assign(this, { sr, channels, samples, block, fetchBlock });
    this.duration = samples / sr;
    this.blocks = Math.max(1, Math.ceil(samples / block));
    this.tracks = new Map();
    this.kept = new Map();
    this.position = 0;
    this.playing = false;
    this.starting = false;
    this.run = 0; // another one after each stop: what comes for an earlier one is too late
    this.chain = Promise.resolve();
    this.onchange = () => {};
    this.onproblem = () => {};
    this.highestDb = 12;
    this.heard = null; // when the last change was heard, by performance.now()
  }

  // --- blocks ------------------------------------------------------------------------------------

  buffer(address, index) {
    const key = `${address}/${index}`;
    let known = this.kept.get(key);
    if (known) this.kept.delete(key); // to the end: used last
    else {
      known = this.fetchBlock(key).then((bytes) => {
        const all = new Float32Array(bytes);
        const length = all.length / this.channels;
        const made = new AudioBuffer({ length, numberOfChannels: this.channels, sampleRate: this.sr });
        for (let n = 0; n < this.channels; n += 1) {
          made.copyToChannel(all.subarray(n * length, (n + 1) * length), n);
        }
        return made;
      });
      known.catch(() => this.kept.delete(key));
    }
    this.kept.set(key, known);
    const most = Math.max(16, Math.floor(MOST_BYTES / (4 * this.channels * this.block)));
    for (const old of this.kept.keys()) {
      if (this.kept.size <= most) break;
      this.kept.delete(old);
    }
    return known;
  }

  open() {
    if (this.context) return;
    this.context = new AudioContext({ sampleRate: this.sr });
    this.out = this.context.createGain();
    this.ear = audiosepLevels.earOf(this.context, this.out);
    for (const track of this.tracks.values()) this.wire(track);
  }

  wire(track) {
    track.knob = audiosepLevels.knobOf(this.context, track.gain, this.out);
  }

  // --- which sounds there are --------------------------------------------------------------------

  // What is to be heard, as [{ key, address, gain }]; resolves when it is.
  tune(wanted) {
    this.chain = this.chain.then(() => this.retune(wanted)).catch((error) => this.onproblem(error));
    return this.chain;
  }

  async retune(wanted) {
    const keys = new Set(wanted.map((one) => one.key));
    const gone = [...this.tracks.values()].filter((track) => !keys.has(track.key));
    const changed = wanted.filter((one) => this.tracks.get(one.key)?.address !== one.address);
    if (!gone.length && !changed.length) return;
    const { run } = this;
    if (this.playing) {
      const index = this.indexAt(this.time() + 0.3);
      const soon = new Set([this.indexAt(this.time()), index]);
      await Promise.all(changed.flatMap((one) => [...soon].map((n) => this.buffer(one.address, n))));
    }
    const from = this.playing && run === this.run
      ? Math.ceil((this.context.currentTime + LEAD_S / 2) * this.sr) : null;
    for (const track of gone) {
      this.tracks.delete(track.key);
      this.fadeOut(track, from);
    }
    for (const one of changed) {
      let track = this.tracks.get(one.key);
      if (track) this.fadeOut(track, from);
      else {
        track = { key: one.key, gain: one.gain, nodes: new Map() };
        this.tracks.set(one.key, track);
        if (this.context) this.wire(track);
      }
      track.address = one.address;
      if (from !== null) this.supply(track, from);
    }
    if (from !== null) {
      this.heard = performance.now() + ((from / this.sr) - this.context.currentTime) * 1000;
    }
  }

  fadeOut(track, from) {
    for (const { node, fader } of track.nodes.values()) {
      if (from === null) node.stop();
      else {
        const at = from / this.sr;
        fader.gain.setValueAtTime(1, at);
        fader.gain.linearRampToValueAtTime(0, at + RAMP_S);
        node.stop(at + 2 * RAMP_S);
      }
    }
    track.nodes = new Map();
  }

  // --- time --------------------------------------------------------------------------------------

  indexAt(time) {
    const index = Math.floor(Math.max(0, time * this.sr + 0.5) / this.block);
    return Math.min(index, this.blocks - 1);
  }

  async play() {
    this.open();
    await this.context.resume();
    if (this.playing || this.starting) return;
    if (this.position >= this.duration) this.position = 0;
    await this.start();
  }

  async start() {
    this.starting = true;
    const { run } = this;
    try {
      await this.chain;
      const index = this.indexAt(this.position);
      await Promise.all([...this.tracks.values()].map((track) => this.buffer(track.address, index)));
    } finally {
      if (run === this.run) this.starting = false;
    }
    if (run !== this.run) return;
    const first = Math.ceil((this.context.currentTime + LEAD_S) * this.sr);
    this.origin = first - Math.round(this.position * this.sr);
    this.playing = true;
    for (const track of this.tracks.values()) this.supply(track);
    this.watch = setInterval(() => this.tick(), TICK_MS);
  }

  // Give a track the blocks that come next; with `from`, faded in from that sample of the clock on.
  supply(track, from = null) {
    const { run, address } = { run: this.run, address: track.address };
    const now = this.time();
    const first = this.indexAt(now);
    const last = this.indexAt(now + AHEAD_S);
    for (let index = first; index <= last; index += 1) {
      if (track.nodes.has(index)) continue;
      const entry = { node: { stop() {}, disconnect() {} }, fader: null };
      entry.fader = this.context.createGain();
      track.nodes.set(index, entry);
      this.buffer(address, index).then((buffer) => {
        if (run !== this.run || track.nodes.get(index) !== entry) return;
        this.place(track, entry, buffer, index, from);
      }, (error) => {
        track.nodes.delete(index);
        this.onproblem(error);
      });
    }
  }

  place(track, entry, buffer, index, from) {
    const at = this.origin + index * this.block;
    const soonest = Math.ceil((this.context.currentTime + 0.005) * this.sr);
    const begin = Math.max(at, soonest, from === null ? 0 : from);
    const skipped = begin - at;
    if (skipped >= buffer.length) return;
    const node = this.context.createBufferSource();
    node.buffer = buffer;
    if (begin !== at && (from !== null || skipped > 0)) {
      entry.fader.gain.setValueAtTime(0, begin / this.sr);
      entry.fader.gain.linearRampToValueAtTime(1, begin / this.sr + RAMP_S);
    }
    node.connect(entry.fader);
    entry.fader.connect(track.knob);
    node.onended = () => {
      entry.fader.disconnect();
      if (track.nodes.get(index) === entry) entry.over = true;
    };
    node.start(begin / this.sr, skipped / this.sr);
    entry.node = node;
  }

  tick() {
    if (!this.playing) return;
    const past = this.indexAt(this.time()) - 1;
    for (const track of this.tracks.values()) {
      for (const index of track.nodes.keys()) if (index < past) track.nodes.delete(index);
      this.supply(track);
    }
  }

  halt() {
    this.run += 1;
    this.playing = false;
    this.starting = false;
    clearInterval(this.watch);
    for (const track of this.tracks.values()) {
      for (const { node } of track.nodes.values()) node.stop();
      track.nodes = new Map();
    }
  }

  pause() {
    if (!this.playing && !this.starting) return;
    this.position = this.time();
    this.halt();
  }

  seek(time) {
    const went = this.playing || this.starting;
    this.halt();
    this.position = Math.min(Math.max(time, 0), this.duration);
    if (went) this.start().catch((error) => this.onproblem(error));
  }

  time() {
    if (!this.playing) return this.position;
    const now = Math.max(this.position, this.context.currentTime - this.origin / this.sr);
    if (now < this.duration) return now;
    this.halt();
    this.position = this.duration;
    this.onchange();
    return this.position;
  }

  close() {
    this.halt();
    this.kept.clear();
    if (this.context) this.context.close();
  }

  // --- levels ------------------------------------------------------------------------------------

  setGain(key, gain) {
    const track = this.tracks.get(key);
    if (!track) return;
    track.gain = gain;
    if (this.context) audiosepLevels.turn(track.knob, gain);
  }

  levelDb(key) {
    const track = this.tracks.get(key);
    if (!this.playing || !track || !track.knob) return null;
    return audiosepLevels.decibels(audiosepLevels.rmsOf(track.knob.meter));
  }

  wave() {
    const samples = new Float32Array(this.ear.fftSize);
    this.ear.getFloatTimeDomainData(samples);
    return Array.from(samples);
  }

  measure() {
    return this.context ? audiosepLevels.heardBy(this.ear) : null;
  }
}
