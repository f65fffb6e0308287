// Live migration at a glance: how long the guests of every case stood still, the worst case first.

import { extent, scale, shapePath, ticks } from "./chart.js";
import { axisValue, index, rowAxes, variantWords, varyingAxes, verdictOf } from "./data.js";
import { badge, el, link, plural, seconds, svg, table } from "./dom.js";

/** @import { Measure, MigrationEntry } from "./data.js" */

/** @type {[name: "downtime" | "blackout" | "total_time", words: string, shape: string, series: string][]} */
const MEASURED = [["downtime", "downtime", "circle", "s0"], ["blackout", "guest's blackout", "square", "s2"], ["total_time", "total time", "triangle", "s1"]];
const MOST_ENTRIES = 200;
const SHORTEST = 1e-4; // seconds: QEMU says 0 ms of what took less

/** @param {MigrationEntry[]} entries */
export function migrationOverview(entries) {
  const axes = rowAxes(new Set(varyingAxes(entries.map((entry) => entry.case))));
  const ordered = [...entries].sort((a, b) => b.bad - a.bad || b.broken - a.broken || share(b) - share(a) || (b.downtime.max ?? 0) - (a.downtime.max ?? 0));
  const limited = entries.some(({ downtime }) => downtime.limit !== null);
  const name = (/** @type {MigrationEntry} */ entry) => `${variantWords(entry.case, axes)}${entry.attempt > 1 ? ` attempt ${entry.attempt}` : ""}`;
  return el("div", {},
    el("p", { class: "about" }, "The longest of each case, on one scale: a row for each strategy, a point for each case."),
    el("p", { class: "legend" }, MEASURED.map(([, words, shape, series]) => el("span", {},
      svg("svg", { width: 16, height: 12, "aria-hidden": "true" }, svg("path", { d: shapePath(shape, 8, 6, 3.6), class: `series points ${series}` })), ` ${words}`)),
    limited ? el("span", {}, svg("svg", { width: 16, height: 12, "aria-hidden": "true" }, svg("line", { x1: 8, x2: 8, y1: 0, y2: 12, class: "limit" })), " least limit of the downtime") : null),
    el("div", { class: "multiples" }, archPlots(entries, name)),
    el("h3", {}, "Every case, the worst first"),
    table([["verdict", ""], ["case", ""], ["hops as they must", "number"], ["downtime: median", "number"], ["at most", "number"], ["guest's blackout", "number"], ["total time", "number"]],
      ordered.slice(0, MOST_ENTRIES).map((entry) => [badge(verdictOf(entry.case)),
        [link(entryLink(entry), { class: "plain mono" }, axisValue(entry.case, "test")), " ", el("small", {}, name(entry)),
          entry.broken ? el("div", {}, badge("fail"), ` ${plural(entry.broken, "limit")} did not hold`) : null],
        `${(entry.hops - entry.bad).toLocaleString("en")}/${entry.hops.toLocaleString("en")}`,
        seconds(entry.downtime.median), ...MEASURED.map(([each]) => beside(entry[each]))])),
    ordered.length > MOST_ENTRIES ? el("p", {}, `… and ${plural(ordered.length - MOST_ENTRIES, "more case")}`) : null);
}

/**
 * How much of its limits a case has used up: 1 is all of one.
 * @param {MigrationEntry} entry
 */
function share(entry) {
  return Math.max(...MEASURED.map(([name]) => (entry[name].limit ? (entry[name].max ?? 0) / entry[name].limit : 0)));
}

/** @param {Measure} measure */
function beside({ max, limit }) {
  if (max === null || limit === null) return seconds(max);
  return [seconds(max), el("small", {}, ` of ${seconds(limit)}${max > limit ? ", over" : ""}`)];
}

/** @param {MigrationEntry} entry */
function entryLink(entry) {
  return `#migration?entry=${index.migrations.indexOf(entry)}`;
}

/**
 * One plot for each architecture, all with the same scale and the same rows.
 * @param {MigrationEntry[]} entries
 * @param {(entry: MigrationEntry) => string} name
 */
function archPlots(entries, name) {
  const known = entries.flatMap((entry) => MEASURED.flatMap(([each]) => [entry[each].max, entry[each].limit])).filter((value) => value !== null);
  const [low, high] = extent(known.map((value) => Math.max(value, SHORTEST)), [0.001, 1]);
  const range = /** @type {const} */ ([10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.01))]);
  const strategy = (/** @type {MigrationEntry} */ entry) => axisValue(entry.case, "strategy") || (entry.strategy.length > 1 ? "several" : entry.strategy.join());
  const rows = [...new Set(entries.map(strategy))];
  const arches = [...new Set(entries.map((entry) => axisValue(entry.case, "arch")))];
  return arches.map((arch) => archPlot(arch, entries.filter((entry) => axisValue(entry.case, "arch") === arch), rows, strategy, range, name));
}

/**
 * @param {string} arch
 * @param {MigrationEntry[]} entries
 * @param {string[]} rows
 * @param {(entry: MigrationEntry) => string} row of an entry
 * @param {readonly [number, number]} range in seconds
 * @param {(entry: MigrationEntry) => string} name
 */
function archPlot(arch, entries, rows, row, [low, high], name) {
  const [width, left, top, step] = [330, Math.max(...rows.map((each) => each.length)) * 6 + 8, 6, 20];
  const bottom = top + rows.length * step;
  const x = scale(true, low, high, left + 8, width - 14);
  /** @type {SVGElement[]} */
  const parts = ticks(low, high, true, 5).flatMap((value) => [
    svg("line", { x1: x(value), x2: x(value), y1: top, y2: bottom, class: "grid" }),
    svg("text", { x: x(value), y: bottom + 15, "text-anchor": "middle" }, seconds(value))]);
  rows.forEach((each, place) => parts.push(svg("text", { x: left, y: top + place * step + 14, "text-anchor": "end" }, each)));
  const limits = entries.flatMap(({ downtime }) => (downtime.limit === null ? [] : [downtime.limit]));
  if (limits.length) {
    const limit = Math.min(...limits);
    parts.push(svg("line", { x1: x(limit), x2: x(limit), y1: top, y2: bottom, class: "limit" }, svg("title", {}, `limit of the downtime: ${seconds(limit)}`)));
  }
  for (const entry of entries) {
    const y = top + rows.indexOf(row(entry)) * step + 10;
    for (const [each, words, shape, series] of MEASURED) {
      const { max } = entry[each];
      if (max === null) continue;
      parts.push(svg("a", { href: entryLink(entry), tabindex: "-1" }, svg("path", { d: shapePath(shape, x(Math.max(max, SHORTEST)), y, 3.4), class: `series points ${series}` },
        svg("title", {}, `${name(entry)}: ${words} ${seconds(max)}`))));
    }
  }
  parts.push(svg("line", { x1: left + 8, x2: width - 14, y1: bottom, y2: bottom, class: "axis" }),
    svg("text", { x: (left + width) / 2, y: bottom + 30, "text-anchor": "middle" }, "at most, over the hops of a case"));
  const downtimes = entries.flatMap((entry) => (entry.downtime.max === null ? [] : [entry.downtime.max]));
  const worst = downtimes.length ? `at most ${seconds(extent(downtimes, [0, 0])[1])}` : "not measured";
  const about = `${plural(new Set(entries.map((entry) => entry.case)).size, "case")}, downtime ${worst}`;
  return el("figure", { class: "multiple" }, el("figcaption", { class: "mono" }, arch, el("small", {}, ` ${about}`)),
    svg("svg", { viewBox: `0 0 ${width} ${bottom + 36}`, role: "img", "aria-label": `${arch}: ${about}` }, parts));
}
