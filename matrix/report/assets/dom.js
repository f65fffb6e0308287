// Elements made from plain text: nothing here, or anywhere else, makes HTML from a string.

import { index } from "./data.js";

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

// Puts these in the place of what an element had; nothing for what is null.
export function show(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
}

export function badge(verdict, count) {
  return el("span", { class: `badge v-${verdict}` }, count === undefined ? verdict : `${count} ${verdict}`);
}

export function link(href, attributes, ...children) {
  return el("a", { href, ...attributes }, ...children);
}

export function caseLink(i) {
  return `#case=${index.of_run[i]}/${encodeURIComponent(index.id[i])}`;
}

export function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

export function copyButton(text) {
  const copy = button("copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "copied";
    } catch {
      copy.textContent = "press Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "copy"; }, 1500);
  }, { class: "small" });
  return copy;
}

export function choice(label, options, chosen, onchange) {
  const select = el("select", { onchange: () => onchange(select.value) },
    options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  return el("label", { class: "choice" }, label, " ", select);
}

export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1e-6) return `${round(value * 1e9)} ns`;
  if (size < 1e-3) return `${round(value * 1e6)} µs`;
  if (size < 1) return `${round(value * 1e3)} ms`;
  if (size < 60) return `${round(value)} s`;
  if (size < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
}

export function rate(value) {
  return value === null || value === undefined ? "not measured" : `${bytes(value)}/s`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (Math.abs(value) >= size) return `${round(value / size)} ${unit}`;
  }
  return `${round(value)} B`;
}

const SECONDS = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1 };

export function quantity(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "B") return bytes(value);
  if (unit === "B/s") return `${bytes(value)}/s`;
  if (unit in SECONDS) return seconds(value * SECONDS[unit]);
  const text = Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : round(value);
  return unit ? `${text} ${unit}` : `${text}`;
}

export function round(value) {
  return Number(value.toPrecision(3)).toString();
}

// Columns as [heading, class]; rows as lists of cells; the first cell heads its row.
export function table(columns, rows, attributes = {}) {
  return el("div", { class: "scroll" }, el("table", attributes,
    el("thead", {}, el("tr", {}, columns.map(([name, kind]) => el("th", { class: kind, scope: "col" }, name)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, place) =>
      el(place ? "td" : "th", { class: columns[place][1], scope: place ? null : "row" }, cell)))))));
}

// Names with what they stand for; those without a value are left out.
export function facts(first, ...pairs) {
  return el("dl", { class: "facts" }, [...first, ...pairs].filter(([, value]) => value)
    .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
