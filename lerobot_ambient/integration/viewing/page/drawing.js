// SPDX-License-Identifier: Apache-2.0
// Drawings on canvases: curves over time, noise levels, chunks, an arm. They know numbers and colours, no datasets.
"use strict";

const Drawing = (() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // The canvas at the screen's own resolution, cleared; null while it is not laid out.
  function begin(canvas) {
    const wide = canvas.clientWidth, high = canvas.clientHeight, dense = window.devicePixelRatio || 1;
    if (!wide || !high) return null;
    canvas.width = Math.round(wide * dense);
    canvas.height = Math.round(high * dense);
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.lineJoin = pen.lineCap = "round";
    pen.font = "11px system-ui, sans-serif";
    return { pen, wide, high };
  }

  // The lowest and highest of several lists, with room around; never nothing.
  function span(lists, room = 0.08) {
    let low = Infinity, high = -Infinity;
    for (const list of lists) for (const value of list) { if (value < low) low = value; if (value > high) high = value; }
    if (low > high) return [0, 1];
    const part = (high - low || Math.abs(high) * 0.1 || 1) * room;
    return [low - part, high + part];
  }

  // A curve whose value i stands at `across(i)` of the width; of many values a pixel its lowest and highest.
  function curve(at, values, across, [low, high], style) {
    const { pen, wide, high: tall } = at;
    const y = (value) => tall - 2 - ((value - low) / (high - low)) * (tall - 4);
    pen.beginPath();
    let column = null, least = 0, most = 0;
    const flush = () => { if (column !== null) { pen.lineTo(column, y(least)); if (most !== least) pen.lineTo(column, y(most)); } };
    for (let i = 0; i < values.length; i++) {
      const x = Math.round(across(i) * wide * 2) / 2;
      if (x > wide + 1) break;
      if (x !== column) { flush(); column = x; least = most = values[i]; }
      else { least = Math.min(least, values[i]); most = Math.max(most, values[i]); }
    }
    flush();
    pen.setLineDash(style.dash || []);
    pen.strokeStyle = style.colour;
    pen.lineWidth = style.width || 1.5;
    pen.globalAlpha = style.alpha ?? 1;
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  const short = (value) => Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);

  // A word on top of curves, with a rim of the card's colour so that it can be read.
  function word(pen, text, x, y, below) {
    pen.textBaseline = below ? "bottom" : "top";
    pen.strokeStyle = colour("card");
    pen.lineWidth = 3;
    pen.strokeText(text, x, y);
    pen.fillStyle = colour("quiet");
    pen.fillText(text, x, y);
  }

  // curves: [{values, across, style}], the last on top; range: the target's, or null.
  function joint(canvas, curves, range) {
    const at = begin(canvas);
    if (!at) return;
    const { pen, wide, high: tall } = at;
    const limits = span([...curves.map((one) => one.values), ...(range ? [range] : [])]);
    if (range) {
      const y = (value) => tall - 2 - ((value - limits[0]) / (limits[1] - limits[0])) * (tall - 4);
      pen.fillStyle = colour("range");
      pen.fillRect(0, y(range[1]), wide, Math.max(1, y(range[0]) - y(range[1])));
    }
    for (const one of curves) curve(at, one.values, one.across, limits, one.style);
    word(pen, short(limits[1]), 3, 2);
    word(pen, short(limits[0]), 3, tall - 2, true);
  }

  // Which noise levels each of `frames` frames admits, [0, sigma_max) and (sigma_min, 1]; a line at sigma.
  function levels(canvas, frames, least, most, sigma) {
    const at = begin(canvas);
    if (!at) return;
    const { pen, wide, high: tall } = at;
    const y = (level) => tall - level * tall;
    const edge = (frame) => (frame / Math.max(frames, 1)) * wide;
    pen.fillStyle = colour("taught");
    const rows = (sides) => {
      // Frames of one window are one rectangle.
      for (let from = 0, to; from < frames; from = to) {
        for (to = from + 1; to < frames && least(to) === least(from) && most(to) === most(from);) to++;
        for (const [low, high] of sides(least(from), most(from))) pen.fillRect(edge(from), y(high), edge(to) - edge(from), y(low) - y(high));
      }
    };
    rows((low, high) => low === 0 || high > low ? [[0, 1]] : [[0, high], [low, 1]]);
    pen.strokeStyle = colour("window");
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const of of [least, most]) {
      for (let frame = 0; frame < frames; frame++) {
        const level = of(frame), draw = level > 0 && level < 1;
        if (draw && frame && of(frame - 1) > 0 && of(frame - 1) < 1) pen.lineTo(edge(frame), y(level));
        else pen.moveTo(edge(frame), y(level));
        if (draw) pen.lineTo(edge(frame + 1), y(level));
      }
    }
    pen.stroke();
    pen.strokeStyle = colour("ink");
    pen.setLineDash([4, 4]);
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(0, y(sigma));
    pen.lineTo(wide, y(sigma));
    pen.stroke();
    pen.setLineDash([]);
    word(pen, "σ = 1, nothing but noise", 4, 3);
    word(pen, "σ = 0, the recording", 4, tall - 3, true);
  }

  // Steps of a chunk as a line with dots; `faint` the same without noise. Both chunks get one `reach`, each its own middle.
  function chunk(canvas, noised, faint, middle, reach, shade, padded) {
    const at = begin(canvas);
    if (!at) return;
    const { pen, wide, high: tall } = at;
    const limits = [middle - reach, middle + reach], last = Math.max(noised.length - 1, 1);
    const across = (i) => 0.04 + (0.92 * i) / last;
    pen.strokeStyle = colour("line");
    for (const part of [0.25, 0.5, 0.75]) { pen.beginPath(); pen.moveTo(0, tall * part); pen.lineTo(wide, tall * part); pen.stroke(); }
    if (faint) curve(at, faint, across, limits, { colour: colour("ink"), width: 1, dash: [3, 3], alpha: 0.7 });
    curve(at, noised, across, limits, { colour: shade, width: 1.6 });
    pen.fillStyle = shade;
    noised.forEach((value, i) => {
      pen.globalAlpha = padded[i] ? 0.25 : 1;
      pen.beginPath();
      pen.arc(across(i) * wide, tall - 2 - ((value - limits[0]) / (limits[1] - limits[0])) * (tall - 4), 2.6, 0, 7);
      pen.fill();
    });
    pen.globalAlpha = 1;
    word(pen, short(limits[1]), 3, 2);
    word(pen, short(limits[0]), 3, tall - 2, true);
  }

  // The arm from the side, and small from above. points: 14 numbers, forward and up in cm of 7 points; pan: degrees.
  function arm(canvas, points, pan, shade, reach, ghost) {
    const at = begin(canvas);
    if (!at) return;
    const { pen, wide, high: tall } = at;
    const small = Math.min(tall * 0.42, wide * 0.3);
    const scale = Math.min((wide - small - 12) / (1.35 * reach), tall / (1.15 * reach));
    const left = 0.35 * reach * scale, ground = tall - 0.12 * reach * scale;
    const side = (list, i) => [left + list[2 * i] * scale, ground - list[2 * i + 1] * scale];
    const line = (places, width, stroke) => {
      pen.strokeStyle = stroke;
      pen.lineWidth = width;
      pen.beginPath();
      places.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.stroke();
    };
    line([[0, ground], [wide - small - 8, ground]], 1.5, colour("line"));
    const draw = (list, ink, jaw, alpha) => {
      pen.globalAlpha = alpha;
      line([0, 1, 2, 3, 4].map((i) => side(list, i)), 5, ink);
      line([side(list, 4), side(list, 5)], 3, jaw);
      line([side(list, 4), side(list, 6)], 3, jaw);
      pen.fillStyle = colour("card");
      for (const i of [1, 2, 3]) { pen.beginPath(); pen.arc(...side(list, i), 2.4, 0, 7); pen.fill(); }
      pen.globalAlpha = 1;
    };
    if (ghost) draw(ghost.points, colour("target"), colour("target"), 0.3);
    draw(points, colour("ink"), shade, 1);
    const above = (list, turn, ink, alpha) => {
      const flat = (i) => {
        const r = (list[2 * i] / reach) * small * 0.9, a = (turn * Math.PI) / 180;
        return [wide - small / 2 - r * Math.sin(a) * 0.55, small - 6 - r * Math.cos(a)];
      };
      pen.globalAlpha = alpha;
      line([0, 1, 2, 3, 5].map(flat), 3, ink);
      pen.globalAlpha = 1;
    };
    if (ghost) above(ghost.points, ghost.pan, colour("target"), 0.3);
    above(points, pan, colour("ink"), 1);
    pen.fillStyle = colour("quiet");
    pen.textBaseline = "top";
    pen.textAlign = "right";
    pen.fillText("from above", wide - 2, small + 2);
    pen.textAlign = "left";
    pen.fillText("from the side", 3, 2);
  }

  return { arm, chunk, colour, joint, levels, short, span };
})();
