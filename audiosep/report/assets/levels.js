"use strict";

// What both pages, the report and the studio, do with levels: hear them, and move them.

const audiosepLevels = (() => {
  const RAMP_S = 0.015; // gains move without a click

  // An analyser before the loudspeakers, fed by `out`.
  function earOf(context, out) {
    const ear = context.createAnalyser();
    ear.fftSize = 8192;
    ear.smoothingTimeConstant = 0;
    out.connect(ear);
    ear.connect(context.destination);
    return ear;
  }

  // The gain of one stem, with a meter behind it.
  function knobOf(context, gain, out) {
    const knob = context.createGain();
    knob.gain.value = gain;
    knob.meter = context.createAnalyser();
    knob.meter.fftSize = 2048;
    knob.connect(knob.meter);
    knob.connect(out);
    return knob;
  }

  function turn(knob, gain) {
    const now = knob.context.currentTime;
    knob.gain.cancelScheduledValues(now);
    knob.gain.setValueAtTime(knob.gain.value, now);
    knob.gain.linearRampToValueAtTime(gain, now + RAMP_S);
  }

  function rmsOf(analyser) {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    return Math.sqrt(sum / samples.length);
  }

  function decibels(value) {
    return 20 * Math.log10(Math.max(value, 1e-9));
  }

  function heardBy(ear) {
    const levels = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(levels);
    let best = 0;
    levels.forEach((level, bin) => {
      if (level > levels[best]) best = bin;
    });
    return {
      state: ear.context.state,
      rms: rmsOf(ear),
      peakHz: (best * ear.context.sampleRate) / ear.fftSize,
      sampleRate: ear.context.sampleRate,
    };
  }

  return { RAMP_S, earOf, knobOf, turn, rmsOf, decibels, heardBy };
})();
