// How long each device's state took to be saved and loaded, by QEMU's trace events.

import { el, seconds, svg, table } from "./dom.js";

/** @typedef {[save: number | null, load: number | null]} Times in seconds; null: it was not told */
/**
 * What one case or one hop tells of.
 * @typedef {object} Told
 * @property {string} source who saved
 * @property {string} destination who loaded
 * @property {Map<string, Times>} times by device
 */

const DEVICES_COLOURED = 6;
const DEVICES_LISTED = 20;
const DEVICES_WIDTH = 1000;

/**
 * Of a case the medians over its hops, which are named "DEVICE save" and "DEVICE load".
 * @param {{ name: string, p50: number }[]} statistics
 */
export function medianTimes(statistics) {
  return summed(statistics.map(({ name, p50 }) => {
    const device = name.slice(0, name.lastIndexOf(" "));
    return name.endsWith(" save") ? [device, p50, null] : [device, null, p50];
  }));
}

/**
 * The instances of a device count together.
 * @param {[device: string, save: number | null, load: number | null][]} rows
 */
export function summed(rows) {
  /** @type {Map<string, Times>} */
  const found = new Map();
  for (const [device, ...times] of rows) {
    const [save, load] = found.get(device) ?? [null, null];
    found.set(device, [bothOf(save, times[0]), bothOf(load, times[1])]);
  }
  return found;
}

/**
 * A bar for each side, all on one scale, and a table; two that are told are compared.
 * @param {Told[]} told
 */
export function deviceTimes(told) {
  const devices = [...new Set(told.flatMap(({ times }) => [...times.keys()]))];
  /** @type {(device: string) => number} */
  const size = (device) => told.reduce((all, { times }) => all + timeOf(times, device, 0) + timeOf(times, device, 1), 0);
  const ordered = devices.sort((a, b) => size(b) - size(a));
  const sides = told.flatMap(({ source, destination, times }) => [
    { name: `saved by ${source}`, times, side: 0 }, { name: `loaded by ${destination}`, times, side: 1 }]);
  const longest = Math.max(...sides.map(({ times, side }) => sumOf(times, side)), 1e-9);
  const coloured = ordered.slice(0, DEVICES_COLOURED);
  return el("div", { class: "devices" },
    el("p", { class: "legend" }, [...coloured, ...(ordered.length > DEVICES_COLOURED ? [moreDevices(ordered.length - DEVICES_COLOURED)] : [])].map((name, place) =>
      el("span", {}, svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, svg("rect", { width: 12, height: 12, class: colourOf(place) })), ` ${name}`))),
    el("div", { class: "gantt" }, sides.map(({ name, times, side }) => [el("span", {}, name, " ", el("small", {}, seconds(sumOf(times, side)))), deviceBar(name, times, side, coloured, longest)])),
    deviceTable(sides, ordered));
}

/**
 * @param {string} name
 * @param {Map<string, Times>} times
 * @param {number} side
 * @param {string[]} coloured
 * @param {number} longest in seconds
 */
function deviceBar(name, times, side, coloured, longest) {
  const parts = coloured.map((device) => ({ device, value: timeOf(times, device, side) }));
  const rest = sumOf(times, side) - parts.reduce((all, { value }) => all + value, 0);
  if (rest > 1e-9) parts.push({ device: moreDevices(times.size - coloured.length), value: rest });
  let at = 0;
  return svg("svg", { class: "bar", viewBox: `0 0 ${DEVICES_WIDTH} 10`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${seconds(sumOf(times, side))}` },
    parts.map(({ device, value }, place) => {
      const [x, width] = [at, value / longest * DEVICES_WIDTH];
      at += width;
      return svg("rect", { x, width, height: 10, class: colourOf(place) }, svg("title", {}, `${device}: ${seconds(value)}`));
    }));
}

/**
 * @param {{ name: string, times: Map<string, Times>, side: number }[]} sides
 * @param {string[]} ordered
 */
function deviceTable(sides, ordered) {
  const rest = ordered.slice(DEVICES_LISTED);
  // Both that saved beside each other, then both that loaded.
  const columns = [...sides].sort((a, b) => a.side - b.side);
  const rows = ordered.slice(0, DEVICES_LISTED).map((device) => [device, ...columns.map(({ times, side }) => seconds(times.get(device)?.[side]))]);
  if (rest.length) rows.push([moreDevices(rest.length), ...columns.map(({ times, side }) => seconds(rest.reduce((all, device) => all + timeOf(times, device, side), 0)))]);
  return table([["state of", "mono"], ...columns.map(({ name }) => /** @type {[string, string]} */ ([name, "number"]))], rows);
}

/** @param {number} count */
function moreDevices(count) {
  return `${count.toLocaleString("en")} more`;
}

/** @param {number} place */
function colourOf(place) {
  return place < DEVICES_COLOURED ? `series points s${place}` : "rest";
}

/**
 * @param {Map<string, Times>} times
 * @param {number} side
 */
function sumOf(times, side) {
  return [...times.values()].reduce((all, each) => all + (each[side] ?? 0), 0);
}

/**
 * @param {Map<string, Times>} times
 * @param {string} device
 * @param {number} side
 */
function timeOf(times, device, side) {
  return times.get(device)?.[side] ?? 0;
}

/**
 * @param {number | null} a
 * @param {number | null} b
 */
function bothOf(a, b) {
  return a === null ? b : b === null ? a : a + b;
}
