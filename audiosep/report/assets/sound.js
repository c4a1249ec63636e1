"use strict";

// Stems that sound together. Both players have the same face: load, play, pause, seek, time,
// setGain, playing, and onchange, which they call when they stop by themselves.

const audiosepSound = (() => {
  const LEAD_S = 0.05; // all stems are told to start at one time that is still to come
  const STEP_S = 0.06; // linked stems further apart than this are put together again

  function bytesOf(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let n = 0; n < text.length; n += 1) bytes[n] = text.charCodeAt(n);
    return bytes;
  }

  // Sound in the page itself: decoded as a whole, so that the stems stay together to the sample.
  class EmbeddedPlayer {
    constructor(elements, sampleRate, duration, level) {
      this.elements = elements;
      this.sampleRate = sampleRate;
      this.duration = duration;
      this.level = level;
      this.gains = elements.map(() => 1);
      this.buffers = [];
      this.sources = [];
      this.position = 0;
      this.playing = false;
      this.onchange = () => {};
      this.highestDb = 12;
    }

    async load(progress) {
      const Offline = window.OfflineAudioContext;
      if (!Offline || !(window.AudioContext || window.webkitAudioContext)) {
        throw new Error("This browser has no Web Audio, so that the stems cannot be played; open the page with a newer one.");
      }
      // Decoding needs no permission to play, and keeps the rate of the stems.
      const decoder = new Offline(1, 1, this.sampleRate);
      let done = 0;
      progress(done, this.elements.length);
      try {
        this.buffers = await Promise.all(this.elements.map(async (element) => {
          const { buffer } = bytesOf(element.textContent);
          element.textContent = ""; // its text is no longer needed
          const decoded = await decoder.decodeAudioData(buffer);
          done += 1;
          progress(done, this.elements.length);
          return decoded;
        }));
      } catch {
        throw new Error("This browser cannot decode MP3, so that the stems cannot be played; open the page with another one, or listen to the files beside it.");
      }
    }

    open() {
      if (this.context) return;
      const Context = window.AudioContext || window.webkitAudioContext;
      try {
        this.context = new Context({ sampleRate: this.sampleRate });
      } catch {
        this.context = new Context(); // it resamples then
      }
      this.out = this.context.createGain();
      this.out.gain.value = this.level;
      this.ear = audiosepLevels.earOf(this.context, this.out);
      this.knobs = this.buffers.map(
        (_, index) => audiosepLevels.knobOf(this.context, this.gains[index], this.out),
      );
    }

    async play() {
      this.open();
      await this.context.resume();
      if (this.playing) return;
      if (this.position >= this.duration) this.position = 0;
      this.start();
    }

    start() {
      const when = this.context.currentTime + LEAD_S;
      this.sources = this.buffers.map((buffer, index) => {
        const source = this.context.createBufferSource();
        source.buffer = buffer;
        source.connect(this.knobs[index]);
        source.start(when, this.position);
        return source;
      });
      this.origin = when - this.position;
      this.playing = true;
    }

    stop() {
      for (const source of this.sources) {
        source.stop();
        source.disconnect();
      }
      this.sources = [];
      this.playing = false;
    }

    pause() {
      if (!this.playing) return;
      this.position = this.time();
      this.stop();
    }

    seek(time) {
      const went = this.playing;
      if (went) this.stop();
      this.position = Math.min(Math.max(time, 0), this.duration);
      if (went) this.start();
    }

    time() {
      if (!this.playing) return this.position;
      const now = Math.max(this.position, this.context.currentTime - this.origin);
      if (now < this.duration) return now;
      this.stop();
      this.position = this.duration;
      this.onchange();
      return this.position;
    }

    setGain(index, gain) {
      this.gains[index] = gain;
      if (this.context) audiosepLevels.turn(this.knobs[index], gain);
    }

    levelDb(index) {
      if (!this.context || !this.playing) return null;
      const { decibels, rmsOf } = audiosepLevels;
      return decibels(rmsOf(this.knobs[index].meter)) + decibels(this.level);
    }

    measure() {
      if (!this.context) return null;
      const samples = this.buffers.map((buffer) => buffer.length);
      return { ...audiosepLevels.heardBy(this.ear), samples };
    }
  }

  // Sound in the files beside the page: of any length, in step as well as media elements can be.
  class LinkedPlayer {
    constructor(addresses, duration) {
      this.duration = duration;
      this.elements = addresses.map((address) => {
        const element = new Audio();
        element.preload = "metadata";
        element.src = address;
        return element;
      });
      this.onchange = () => {};
      this.highestDb = 0; // of an element the volume cannot be raised
    }

    load(progress) {
      progress(0, this.elements.length);
      return Promise.all(
        this.elements.map((element) => new Promise((resolve, reject) => {
          const name = decodeURIComponent(element.getAttribute("src"));
          if (element.readyState >= 1) resolve();
          element.addEventListener("loadedmetadata", resolve, { once: true });
          element.addEventListener("error", () => reject(new Error(
            `${name} cannot be played: it must lie where it was when this page was made, and this browser must know its format.`,
          )), { once: true });
        })),
      );
    }

    get leader() {
      return this.elements[0];
    }

    get playing() {
      return !this.leader.paused && !this.leader.ended;
    }

    async play() {
      if (this.leader.ended) this.seek(0);
      await Promise.all(this.elements.map((element) => element.play()));
      this.seek(this.leader.currentTime);
      clearInterval(this.watch);
      this.watch = setInterval(() => this.keepTogether(), 500);
    }

    pause() {
      clearInterval(this.watch);
      for (const element of this.elements) element.pause();
      this.seek(this.leader.currentTime);
    }

    seek(time) {
      for (const element of this.elements) element.currentTime = time;
    }

    keepTogether() {
      if (this.leader.ended) {
        clearInterval(this.watch);
        this.onchange();
        return;
      }
      for (const element of this.elements) {
        if (!element.seeking && Math.abs(element.currentTime - this.leader.currentTime) > STEP_S) {
          element.currentTime = this.leader.currentTime;
        }
      }
    }

    time() {
      return this.leader.currentTime;
    }

    setGain(index, gain) {
      this.elements[index].volume = Math.min(gain, 1);
      this.elements[index].muted = gain === 0;
    }

    levelDb() {
      return null;
    }

    measure() {
      return {
        times: this.elements.map((element) => element.currentTime),
        volumes: this.elements.map((element) => (element.muted ? 0 : element.volume)),
      };
    }
  }

  return { EmbeddedPlayer, LinkedPlayer, bytesOf };
})();
