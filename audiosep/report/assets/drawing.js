"use strict";

const audiosepDrawing = (() => {
  // Viridis at sixteen places: lightness rises evenly, and can be told apart without red and green.
  const SHADES = [
    [68, 1, 84], [72, 26, 108], [71, 47, 125], [65, 68, 135], [57, 86, 140], [49, 104, 142],
    [42, 120, 142], [35, 136, 142], [31, 152, 139], [34, 168, 132], [53, 183, 121],
    [84, 197, 104], [122, 209, 81], [165, 219, 54], [210, 226, 27], [253, 231, 37],
  ];

  const COLOURS = Array.from({ length: 256 }, (_, value) => {
    const place = (value / 255) * (SHADES.length - 1);
    const low = Math.min(Math.floor(place), SHADES.length - 2);
    return SHADES[low].map((from, n) => Math.round(from + (place - low) * (SHADES[low + 1][n] - from)));
  });

  // Rows of bytes, the lowest frequency first.
  function spectrogram(canvas, bytes, columns) {
    const rows = bytes.length / columns;
    canvas.width = columns;
    canvas.height = rows;
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(columns, rows);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const at = 4 * ((rows - 1 - row) * columns + column);
        const colour = COLOURS[bytes[row * columns + column]];
        image.data[at] = colour[0];
        image.data[at + 1] = colour[1];
        image.data[at + 2] = colour[2];
        image.data[at + 3] = 255;
      }
    }
    pen.putImageData(image, 0, 0);
  }

  // Bytes as a filled curve, in the colour of the text around it.
  function curve(canvas, bytes, height, colour) {
    canvas.width = bytes.length;
    canvas.height = height;
    const pen = canvas.getContext("2d");
    pen.fillStyle = colour;
    bytes.forEach((value, column) => {
      const tall = (value / 255) * height;
      pen.fillRect(column, height - tall, 1, tall);
    });
  }

  // Round values to write beside a logarithmic scale, each with its place from 0 to 1.
  function hertz(lowest, highest) {
    const marks = [50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
    const place = (value) => Math.log(value / lowest) / Math.log(highest / lowest);
    return marks
      .filter((value) => value > lowest && value < highest * 0.97)
      .map((value) => ({
        text: value < 1000 ? `${value} Hz` : `${value / 1000} kHz`,
        place: place(value),
      }));
  }

  function seconds(duration) {
    const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
    const step = steps.find((one) => duration / one <= 8) || duration / 4;
    const marks = [];
    for (let n = 0; n * step < duration * 0.97; n += 1) marks.push(n * step);
    return marks.map((time) => ({ text: clock(time, step < 1), place: time / duration }));
  }

  function clock(time, fine = false) {
    if (fine) return `${Number(time.toFixed(2))} s`;
    const whole = Math.floor(time + 1e-6);
    const pad = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(whole / 3600);
    const rest = `${Math.floor(whole / 60) % 60}:${pad(whole % 60)}`;
    return hours ? `${hours}:${rest.padStart(5, "0")}` : rest;
  }

  return { spectrogram, curve, hertz, seconds, clock };
})();
