// Elements made from plain text: nothing here, or anywhere else, makes HTML from a string.

import { index } from "./data.js";

/**
 * What an element takes in; null and undefined are left out.
 * @typedef {Node | string | null | undefined | readonly Child[]} Child
 */
/**
 * What is set of an element: "onclick" and the like are listened for; null, undefined and false
 * are not set, true is an empty value.
 * @typedef {object} Listeners
 * @property {(event: MouseEvent) => void} [onclick]
 * @property {(event: KeyboardEvent) => void} [onkeydown]
 * @property {() => void} [onchange]
 * @property {() => void} [onscroll]
 * @property {() => void} [ontoggle]
 */
/** @typedef {Listeners & { [name: string]: unknown }} Attributes */

/** @type {[unit: string, size: number][]} */
const BYTES = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];
const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {E}
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...nodes(children));
  return element;
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  const flat = /** @type {unknown[]} */ (children).flat(Infinity);
  return /** @type {(Node | string)[]} */ (flat.filter((child) => child !== null && child !== undefined));
}

/**
 * Puts these in the place of what an element had; nothing for what is null.
 * @param {Element} element
 * @param {Child[]} children
 */
export function show(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/**
 * @param {string} verdict
 * @param {number} [count]
 */
export function badge(verdict, count) {
  return el("span", { class: `badge v-${verdict}` }, count === undefined ? verdict : `${count} ${verdict}`);
}

/**
 * @param {string} href
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
export function link(href, attributes, ...children) {
  return el("a", { href, ...attributes }, ...children);
}

/** @param {number} i */
export function caseLink(i) {
  return `#case=${index.of_run[i]}/${encodeURIComponent(index.id[i])}`;
}

/**
 * @param {string} label
 * @param {() => void} onclick
 * @param {Attributes} attributes
 */
export function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

/** @param {string} text */
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

/**
 * @param {string} label
 * @param {[value: string, text: string][]} options
 * @param {string} chosen
 * @param {(value: string) => void} onchange
 */
export function choice(label, options, chosen, onchange) {
  const select = el("select", { onchange: () => onchange(select.value) },
    options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  return el("label", { class: "choice" }, label, " ", select);
}

/**
 * @param {number} count
 * @param {string} word
 */
export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/** @param {number | null | undefined} value */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1e-6) return `${round(value * 1e9)} ns`;
  if (size < 1e-3) return `${round(value * 1e6)} µs`;
  if (size < 1) return `${round(value * 1e3)} ms`;
  const [whole, minutes, sign] = [Math.round(size), Math.round(size / 60), value < 0 ? "-" : ""];
  if (whole < 60) return `${round(value)} s`;
  if (whole < 3600) return `${sign}${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${sign}${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number | null | undefined} value in bytes per second */
export function rate(value) {
  return value === null || value === undefined ? "not measured" : `${bytes(value)}/s`;
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const [unit, size] of BYTES) {
    if (Math.abs(value) >= size) return `${round(value / size)} ${unit}`;
  }
  return `${round(value)} B`;
}

/** @type {[unit: string, size: number][]} */
const HERTZ = [["GHz", 1e9], ["MHz", 1e6], ["kHz", 1e3]];

/** @type {Record<string, number>} */
const SECONDS = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1 };

/**
 * @param {number | null | undefined} value
 * @param {string} unit
 */
export function quantity(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "B") return bytes(value);
  if (unit === "B/s") return `${bytes(value)}/s`;
  if (unit in SECONDS) return seconds(value * SECONDS[unit]);
  if (unit === "Hz") return hertz(value);
  const text = Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : round(value);
  return unit ? `${text} ${unit}` : `${text}`;
}

/** @param {number} value */
function hertz(value) {
  for (const [unit, size] of HERTZ) {
    if (Math.abs(value) >= size) return `${round(value / size)} ${unit}`;
  }
  return `${round(value)} Hz`;
}

/** @param {number} value */
export function round(value) {
  return Number(value.toPrecision(3)).toString();
}

/**
 * The first cell of a row heads it.
 * @param {[heading: string, kind: string][]} columns
 * @param {Child[][]} rows
 * @param {Attributes} attributes
 */
export function table(columns, rows, attributes = {}) {
  return el("div", { class: "scroll" }, el("table", attributes,
    el("thead", {}, el("tr", {}, columns.map(([name, kind]) => el("th", { class: kind, scope: "col" }, name)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, place) =>
      el(place ? "td" : "th", { class: columns[place][1], scope: place ? null : "row" }, cell)))))));
}

/**
 * Names with what they stand for; those without a value are left out.
 * @param {[name: string, value: Child][]} first
 * @param {[name: string, value: Child][]} pairs
 */
export function facts(first, ...pairs) {
  return el("dl", { class: "facts" }, [...first, ...pairs].filter(([, value]) => value)
    .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
