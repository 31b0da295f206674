// SPDX-License-Identifier: Apache-2.0
// The page: the list of episodes, the player, and what is drawn of the episode at the current frame.
"use strict";

const ACTION = "action", STATE = "observation.state";
const LISTED = 200;
const shown = { index: null, entry: null, episode: null, other: null, frame: 0, joint: 0, sigma: 0, seed: 1, dataset: null, listed: LISTED };
const roleOf = (dataset) => shown.index.datasets[dataset].role;
const shade = (dataset) => Drawing.colour(roleOf(dataset));
const listed = () => shown.index.episodes.filter((one) => shown.dataset === null || one.dataset === shown.dataset);
const keyOf = (one) => `episode-${one.dataset}-${one.episode}`;
const seconds = (frame) => frame / shown.episode.fps;

function drawList() {
  const all = listed(), some = all.slice(0, shown.listed);
  $("episodes").replaceChildren(...some.map((one) => {
    const button = element("button", { type: "button", role: roleOf(one.dataset), "aria-current": one === shown.entry },
      element("span", { class: "dot" }), element("span", { class: "name", text: called(one) }),
      element("span", { class: "score", text: `${one.seconds.toFixed(1)} s`, title: `score ${one.score}; above 1 it sticks out of its dataset` }));
    if (one.odd) button.append(element("span", { class: "why", text: one.why[0] }));
    if (one.success != null) button.append(element("span", { class: one.success ? "ended" : "why", text: ended(one) }));
    button.addEventListener("click", () => open(one));
    return element("li", {}, button);
  }));
  $("more").hidden = all.length <= some.length;
  $("more").textContent = `${all.length - some.length} more`;
}

// Of several datasets of one role the episode alone would not say which it is.
function called(one) {
  const alike = shown.index.datasets.filter((other) => other.role === roleOf(one.dataset)).length > 1;
  return `${alike ? `${shown.index.datasets[one.dataset].name.split("/").pop()}, ` : ""}episode ${one.episode}`;
}
const ended = (one) => (one.success ? "reached its goal" : "failed");

function drawDatasets() {
  const entry = (dataset, name, title) => {
    const button = element("button", { type: "button", title, "aria-pressed": shown.dataset === dataset, ...(dataset === null ? {} : { role: roleOf(dataset) }) },
      element("span", { class: "dot" }), element("span", { class: "name", text: name }),
      element("span", { class: "score", text: dataset === null ? shown.index.episodes.length : shown.index.episodes.filter((one) => one.dataset === dataset).length }));
    button.addEventListener("click", () => { shown.dataset = dataset; shown.listed = LISTED; drawDatasets(); drawList(); });
    return button;
  };
  $("datasets").replaceChildren(
    ...(shown.index.datasets.length > 1 ? [entry(null, "all datasets", "")] : []),
    ...shown.index.datasets.map((one, i) => entry(i, one.name, `${one.role}: ${one.window}`)));
}

async function open(entry, frame = 0) {
  shown.entry = entry;
  try {
    const episode = await load(keyOf(entry));
    if (shown.entry !== entry) return;
    shown.episode = episode;
  } catch (error) { return trouble(error.message); }
  $("trouble").hidden = true;
  document.querySelector("main").hidden = false;
  const dataset = shown.index.datasets[entry.dataset];
  $("name").textContent = `${dataset.name}, episode ${entry.episode}`;
  $("name").dataset.role = dataset.role;
  const cut = shown.episode.recorded > shown.episode.frames ? `, the first ${shown.episode.frames} of ${shown.episode.recorded} frames` : "";
  $("task").textContent = `${dataset.role}${shown.episode.task ? ` · ${shown.episode.task}` : ""}${cut}`;
  const told = entry.success == null ? [] : [ended(entry)];
  $("why").replaceChildren(...[...told, ...entry.why.slice(0, 4)].map((text) => element("li", { text })));
  $("levels").hidden = false;
  $("levels-words").textContent = dataset.window;
  $("scrub").max = shown.episode.frames - 1;
  // The joint that sticks out is looked at first; of names that begin alike the longest is meant.
  const meant = shown.index.names[ACTION].map((name, i) => [name, i]).filter(([name]) => (entry.why[0] || "").includes(` ${name} `));
  if (meant.length) shown.joint = meant.sort((a, b) => b[0].length - a[0].length)[0][1];
  buildPictures();
  buildJoints();
  drawList();
  await chooseOther();
  if (shown.entry !== entry) return;
  go(frame);
  restart();
}

async function chooseOther() {
  const value = $("behind").value, episode = shown.episode;
  shown.other = null;
  let other = null;
  if (value) {
    try { other = await load(value); } catch (error) { trouble(error.message); }
  }
  if (shown.episode !== episode || $("behind").value !== value) return;
  shown.other = other;
  drawJoints();
}

function buildPictures() {
  const dataset = shown.index.datasets[shown.entry.dataset], none = !live && !shown.episode.pictures.length;
  const cameras = shown.index.cameras.map((name, i) => {
    if (!dataset.cameras[i]) return element("figure", {}, element("figcaption", { text: `${name}: this dataset lacks it` }));
    if (none) return element("figure", {}, element("figcaption", { text: `${name}: no picture of this episode is in this folder` }));
    const image = element("img", { alt: `camera ${name}`, "data-camera": i });
    const caption = element("figcaption", { text: name });
    image.addEventListener("load", () => { image.dataset.busy = ""; if (image.dataset.wanted !== image.dataset.has) picture(image); });
    image.addEventListener("error", () => { image.dataset.busy = ""; caption.textContent = `${name}: frame ${image.dataset.has} cannot be shown`; });
    return element("figure", {}, image, caption);
  });
  if (shown.episode.arm) {
    cameras.push(element("figure", {}, element("canvas", { id: "arm", role: "img", "aria-label": "pose of the arm" }),
      element("figcaption", { text: "the recorded pose, its joints read as degrees, which another unit makes wrong; faint: the episode of the target" })));
  }
  $("pictures").replaceChildren(...cameras);
  $("pictures").hidden = !cameras.length;
}

// One request at a time for each camera; the newest wanted frame follows.
function picture(image) {
  const frame = live ? shown.frame : nearest(shown.episode.pictures, shown.frame);
  image.dataset.wanted = frame;
  if (image.dataset.busy === "yes" || image.dataset.has === String(frame)) return;
  image.dataset.busy = "yes";
  image.dataset.has = frame;
  image.src = `frames/${shown.episode.dataset}-${shown.episode.episode}-${frame}-${image.dataset.camera}.jpg`;
}
const nearest = (frames, wanted) => frames.reduce((best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best), frames[0]);

// A row for each dimension of the action, and of what only the state has.
function rows() {
  const names = shown.index.names, actions = names[ACTION], states = names[STATE] || [];
  const all = actions.map((name, i) => ({ name, action: i, state: states.indexOf(name) }));
  states.forEach((name, i) => { if (!actions.includes(name)) all.push({ name, action: -1, state: i }); });
  return all;
}

function buildJoints() {
  $("joints").dataset.few = rows().length <= 8;
  $("joints").replaceChildren(...rows().map((row, i) => {
    const name = element("button", { type: "button", text: row.name });
    const values = element("dl");
    for (const [word, has] of [["action", row.action], ["state", row.state]]) {
      if (has >= 0) values.append(element("dt", { text: word }), element("dd", { "data-word": word }));
    }
    const plot = element("div", { class: "plot", "data-scrub": "" }, element("canvas", { role: "img", "aria-label": `${row.name} over time` }));
    const joint = element("div", { class: "joint", "data-joint": i, "data-still": isStill(row) }, element("div", {}, name, values), plot);
    if (row.action >= 0) name.addEventListener("click", () => { shown.joint = i; mark(); drawChunks(); });
    scrubs(plot);
    return joint;
  }));
  mark();
}
// Whether a joint never moves, here and in the target; it needs no curve.
function isStill(row) {
  const of = [[ACTION, row.action], [STATE, row.state]].filter(([, place]) => place >= 0);
  return of.every(([key, place]) => {
    const column = shown.episode.columns[key][place], [low, high] = shown.index.range[key][place];
    return low === high && (!column || column.every((value) => value === low));
  });
}
const mark = () => document.querySelectorAll(".joint").forEach((one, i) => { one.dataset.chosen = i === shown.joint; });

// Two episodes of the target are not drawn in one colour.
const behindColour = () => (roleOf(shown.episode.dataset) === "target" ? "quiet" : "target");

function drawJoints() {
  const { episode, other, index } = shown, frames = Math.max(episode.frames, 1);
  document.querySelectorAll(".joint canvas").forEach((canvas, i) => {
    const row = rows()[i], curves = [];
    const key = row.action >= 0 ? ACTION : STATE, place = row.action >= 0 ? row.action : row.state;
    const behind = other && other.columns[key][place];
    if (behind) {
      const across = (n) => (n / other.fps) * (episode.fps / frames);
      curves.push({ values: behind, across, style: { colour: Drawing.colour(behindColour()), width: 1.3, alpha: 0.65 } });
    }
    const across = (n) => (n + 0.5) / frames, ink = shade(episode.dataset);
    const state = row.state >= 0 && episode.columns[STATE][row.state];
    if (state) curves.push({ values: state, across, style: { colour: ink, width: 1.2, dash: row.action >= 0 ? [3, 3] : null } });
    const action = row.action >= 0 && episode.columns[ACTION][row.action];
    if (action) curves.push({ values: action, across, style: { colour: ink, width: 1.7 } });
    Drawing.joint(canvas, curves, index.range[key][place]);
  });
  const key = (text, name, kind) => element("span", {}, Object.assign(element("i", { class: kind }), { style: `color: var(--${name})` }), document.createTextNode(text));
  const role = roleOf(episode.dataset);
  $("legend").replaceChildren(key("action", role, ""), ...(index.names[STATE] ? [key("state", role, "dashed")] : []),
    ...(other ? [key("action of the target's episode behind", behindColour(), "")] : []), key("98 % of the target's values", "range", "wide"));
}

function windowAt(frame) {
  const one = shown.episode.window;
  if (!one) return null;
  return Array.isArray(one.sigma_min) ? [one.sigma_min[frame], one.sigma_max[frame]] : [one.sigma_min, one.sigma_max];
}

function drawBand() {
  const plot = $("band").parentElement;
  plot.hidden = !shown.episode.window;
  if (shown.episode.window) Drawing.levels($("band"), shown.episode.frames, (i) => windowAt(i)[0], (i) => windowAt(i)[1], shown.sigma);
}

function drawChunks() {
  const { index, episode, other, sigma, seed, joint } = shown, steps = index.action_deltas.length;
  const faint = $("clean").checked, signal = Math.sqrt(1 - sigma * sigma);
  const make = (from, frame, draw) => {
    const chunk = from && Chunk.at(index, from, frame, joint);
    return chunk && { ...chunk, noised: Chunk.noised(chunk.clean, sigma, Chunk.gaussian(steps, draw)), scaled: chunk.clean.map((one) => signal * one) };
  };
  const same = other && Math.round((shown.frame / Math.max(episode.frames - 1, 1)) * (other.frames - 1));
  const both = [make(episode, shown.frame, seed), make(other, same, seed + 7919)];
  const spans = both.map((one) => one && Drawing.span([one.noised, ...(faint ? [one.scaled] : [])], 0.05));
  const needed = Math.max(0.005, ...spans.map((one) => (one ? (one[1] - one[0]) / 2 : 0)));
  // In steps, so that the scale does not flicker while it plays.
  const step = 10 ** Math.floor(Math.log10(needed)), reach = [1, 2, 3, 5, 10].find((one) => one * step >= needed) * step;
  const draw = (canvas, one, limits, ink) => one && Drawing.chunk(canvas, one.noised, faint ? one.scaled : null, (limits[0] + limits[1]) / 2, reach, ink, one.padded);
  $("own-chunk").hidden = !both[0];
  draw($("own-chunk"), both[0], spans[0], shade(episode.dataset));
  $("other-figure").hidden = !both[1];
  draw($("other-chunk"), both[1], spans[1], Drawing.colour(behindColour()));
  const name = index.names[ACTION][joint];
  $("own-caption").textContent = both[0] ? `${name} from frame ${shown.frame} on, ${steps} steps, normalised` : `${name}: this dataset lacks it, and it carries no loss`;
  $("other-caption").textContent = both[1] ? `the target's, episode ${other.episode} from frame ${same} on, equally tall, each about its own middle` : "";
  $("own-chunk").setAttribute("aria-label", `noised chunk of ${name}`);
  $("other-chunk").setAttribute("aria-label", `noised chunk of ${name} of the target`);
  $("verdict").textContent = verdict();
}

function verdict() {
  const role = roleOf(shown.episode.dataset), levels = windowAt(shown.frame), at = `σ = ${shown.sigma.toFixed(2)}`;
  if (role === "rollouts") return "A rollout is not trained on; compare it with the target.";
  if (shown.frame >= shown.episode.samples) return "No sample begins this close to the episode's end.";
  if (!levels) return "Without a window this frame teaches nowhere yet. Where the two look alike, the fault has vanished in the noise.";
  return Chunk.admits(shown.sigma, ...levels) ? `At ${at} this frame teaches.` : `At ${at} this frame does not teach: it is outside its window.`;
}

function drawFrame() {
  const { episode, frame } = shown;
  document.querySelector("main").style.setProperty("--at", (frame + 0.5) / episode.frames);
  $("scrub").value = frame;
  $("clock").textContent = `${seconds(frame).toFixed(2)} s · ${frame} / ${episode.frames - 1}`;
  document.querySelectorAll("#pictures img").forEach(picture);
  rows().forEach((row, i) => {
    const joint = document.querySelector(`.joint[data-joint="${i}"]`);
    for (const [word, key] of [["action", ACTION], ["state", STATE]]) {
      const cell = joint.querySelector(`dd[data-word=${word}]`);
      if (cell) { const column = episode.columns[key][row[word]]; cell.textContent = column ? String(Number(column[frame].toPrecision(5))) : "lacks it"; }
    }
  });
  if (episode.arm && $("arm")) {
    const ghost = shown.other && shown.other.arm && shown.other !== episode ? shown.other.arm : null, then = ghost && Math.min(Math.round(seconds(frame) * shown.other.fps), ghost.points.length - 1);
    const reach = Math.max(30, ...episode.arm.points.map((one) => Math.max(...one))) + 3;
    Drawing.arm($("arm"), episode.arm.points[frame], episode.arm.pan[frame], shade(episode.dataset), reach, ghost && { points: ghost.points[then], pan: ghost.pan[then] });
  }
  drawChunks();
}

function go(frame) {
  shown.frame = Math.max(0, Math.min(shown.episode.frames - 1, Math.round(frame)));
  drawBand();
  drawFrame();
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", `#${shown.episode.dataset}-${shown.episode.episode}-${shown.frame}`), 250);
}
let remembering = 0;

// Playing follows the clock, so that a slow machine skips frames instead of slowing down.
const player = { playing: false, from: 0, since: 0 };
function play(on) {
  if (on && shown.frame >= shown.episode.frames - 1) shown.frame = 0;
  Object.assign(player, { playing: on, from: shown.frame, since: performance.now() });
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "pause" : "play");
  if (on) requestAnimationFrame(tick); else go(shown.frame);
}
function tick(now) {
  if (!player.playing) return;
  const frame = Math.floor(player.from + (Math.max(0, now - player.since) / 1000) * shown.episode.fps * Number($("speed").value));
  if (frame !== shown.frame) go(frame);
  if (shown.frame >= shown.episode.frames - 1) play(false); else requestAnimationFrame(tick);
}
const restart = () => { if (player.playing) play(true); };

function scrubs(plot) {
  const to = (event) => { const box = plot.getBoundingClientRect(); go(((event.clientX - box.left) / box.width) * shown.episode.frames - 0.5); restart(); };
  plot.addEventListener("pointerdown", (event) => { plot.setPointerCapture(event.pointerId); to(event); });
  plot.addEventListener("pointermove", (event) => { if (event.buttons) to(event); });
}

function step(by) {
  const all = listed(), next = all[all.findIndex((one) => one === shown.entry) + by];
  if (next) { play(false); open(next); }
}

document.addEventListener("keydown", (event) => {
  if (!shown.episode || event.ctrlKey || event.altKey || event.metaKey) return;
  if (["SELECT", "INPUT"].includes(event.target.tagName) && event.target !== $("scrub")) return;
  const second = Math.round(shown.episode.fps), hop = event.shiftKey ? second : 1, speeds = [...$("speed").options].length;
  const keys = {
    " ": () => { if (event.target.tagName === "BUTTON" && event.target !== $("play")) return false; play(!player.playing); },
    ArrowLeft: () => { go(shown.frame - hop); restart(); }, ArrowRight: () => { go(shown.frame + hop); restart(); },
    Home: () => { go(0); restart(); }, End: () => { play(false); go(shown.episode.frames - 1); },
    ArrowUp: () => step(-1), ArrowDown: () => step(1),
    "+": () => { $("speed").selectedIndex = Math.min(speeds - 1, $("speed").selectedIndex + 1); restart(); },
    "-": () => { $("speed").selectedIndex = Math.max(0, $("speed").selectedIndex - 1); restart(); },
  };
  if (keys[event.key] && keys[event.key]() !== false) event.preventDefault();
});
$("play").addEventListener("click", () => play(!player.playing));
$("play").addEventListener("keyup", (event) => { if (event.key === " ") event.preventDefault(); });
$("scrub").addEventListener("input", () => { go(Number($("scrub").value)); restart(); });
$("speed").addEventListener("change", restart);
$("sigma").addEventListener("input", () => { shown.sigma = Number($("sigma").value); $("sigma-value").textContent = shown.sigma.toFixed(2); drawBand(); drawChunks(); });
$("clean").addEventListener("change", drawChunks);
$("redraw").addEventListener("click", () => { shown.seed += 1; drawChunks(); });
$("behind").addEventListener("change", () => chooseOther().then(() => go(shown.frame)));
$("more").addEventListener("click", () => { shown.listed += LISTED; drawList(); });
window.addEventListener("resize", () => { if (shown.episode) { drawJoints(); go(shown.frame); } });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (shown.episode) { drawJoints(); go(shown.frame); } });
window.addEventListener("hashchange", fromHash);

function trouble(text) { $("trouble").textContent = text; $("trouble").hidden = false; }

function fromHash() {
  const [dataset, episode, frame] = location.hash.slice(1).split("-").map(Number);
  const entry = shown.index.episodes.find((one) => one.dataset === dataset && one.episode === episode);
  if (entry && shown.episode && entry === shown.entry) { if (frame !== shown.frame) go(frame || 0); } else open(entry || shown.index.episodes[0], entry ? frame || 0 : 0);
}

load("index").then((index) => {
  shown.index = index;
  document.title = `Episodes beside ${index.title}`;
  $("title").textContent = `Episodes beside ${index.title}`;
  scrubs($("band").parentElement);
  // The episode of the target that sticks out least is the one to hold others against.
  const target = index.episodes.filter((one) => one.dataset === 0).reverse();
  $("behind").replaceChildren(...target.map((one) => element("option", { value: keyOf(one), text: `episode ${one.episode} of the target` })),
    element("option", { value: "", text: "nothing" }));
  $("notes").hidden = !index.notes.length;
  $("notes").querySelector("ul").replaceChildren(...index.notes.map((text) => element("li", { text })));
  if (matchMedia("(max-width: 51.99rem)").matches) $("list").open = false;
  drawDatasets();
  fromHash();
}).catch((error) => trouble(`The episodes could not be read: ${error.message}`));
