// SPDX-License-Identifier: Apache-2.0
// Where the page's data comes from, JSON of the server or scripts of the folder that call viewData, and how elements are
// made. Names come from datasets and are never read as HTML: they are set as text.
"use strict";

const live = document.body.dataset.kind === "live";
const $ = (id) => document.getElementById(id);
const element = (tag, words = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(words)) {
    if (key === "text") made.textContent = value;
    else if (key === "role") made.dataset.role = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};

const waiting = new Map(), known = new Map();
window.viewData = (name, value) => waiting.get(name)?.(value);
function load(name) {
  if (!known.has(name)) {
    const asked = live ? fetched(name) : scripted(name);
    // What failed once may be asked for again.
    asked.catch(() => known.delete(name));
    known.set(name, asked);
  }
  return known.get(name);
}
async function fetched(name) {
  const answer = await fetch(`data/${name}.json`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
const scripted = (name) => new Promise((resolve, reject) => {
  waiting.set(name, resolve);
  const script = element("script", { src: `data/${name}.js` });
  script.onerror = () => reject(new Error(`data/${name}.js is not in this folder`));
  document.head.append(script);
});
