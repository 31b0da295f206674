// SPDX-License-Identifier: Apache-2.0
// The chunk of actions that begins at a frame, as the denoiser is given it: x_t = sqrt(1 - sigma^2) x_0 + sigma eps.
//
// x_0 is the normalised chunk, (raw [- state] - offset) / scale, and eps a draw of Gaussian noise. A chunk steps in
// frames of the target: in an episode recorded at `rate` times its fps it is read at frame + delta * rate, between
// frames linearly, or from the nearest frame for switches. Beyond the episode its last frame is repeated, which is padding.
"use strict";

const Chunk = (() => {
  const ACTION = "action", STATE = "observation.state", SLACK = 1e-6;

  // {clean: x_0 by step, padded: by step} of one dimension; null where the dataset lacks it.
  function at(index, episode, frame, dimension) {
    const column = episode.columns[ACTION][dimension];
    if (!column) return null;
    const { offset, scale, relative } = index.normalization, last = column.length - 1;
    const state = relative ? episode.columns[STATE][dimension][frame] : 0;
    const nearest = episode.nearest && episode.nearest[dimension];
    const clean = [], padded = [];
    for (const delta of index.action_deltas) {
      const wanted = frame + delta * episode.rate;
      padded.push(wanted < -SLACK || wanted > last + SLACK);
      const place = Math.min(Math.max(wanted, 0), last), low = Math.floor(place + SLACK);
      let part = Math.min(Math.max(place - low, 0), 1);
      if (nearest) part = part >= 0.5 ? 1 : 0;
      const raw = column[low] + (part ? part * (column[Math.min(low + 1, last)] - column[low]) : 0);
      clean.push((raw - state - offset[dimension]) / scale[dimension]);
    }
    return { clean, padded };
  }

  // Standard normal numbers that depend on the seed alone.
  function gaussian(count, seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
    return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  const noised = (clean, sigma, noise) => clean.map((value, i) => Math.sqrt(1 - sigma * sigma) * value + sigma * noise[i]);

  // Whether a window admits a level: [0, sigma_max) and (sigma_min, 1], both bounds outside; 0 admits everything.
  const admits = (sigma, least, most) => least === 0 || most > least || sigma < most || sigma > least;

  return { admits, at, gaussian, noised };
})();
