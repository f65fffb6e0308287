// What guests measured: latency histograms as cyclictest's users know them, and named numbers.

import { chart, extent, scale, shapePath, ticks } from "./chart.js";
import { compare, index, rowAxes, unpack, axisValue, variantWords, varyingAxes } from "./data.js";
import { caseLink, choice, el, link, quantity, show, svg, table } from "./dom.js";

/** @import { Child } from "./dom.js" */

/**
 * What guests measured (matrix/report/case_rows.py).
 * @typedef {{ metrics: Metric[], histograms: Histogram[] }} Measurements
 */
/** @typedef {[i: number, attempt: number, name: string, value: number, unit: string]} Metric */
/** @typedef {{ case: number, attempt: number, name: string, unit: string, buckets: Bucket[] }} Histogram */
/** @typedef {[bound: number, count: number]} Bucket how many are below a bound, and not below the one before */
/** @typedef {"min" | "median" | "p99" | "max"} Part */
/** @typedef {{ i: number, attempt: number, name: string, unit: string } & Partial<Record<Part, number>>} Distribution */
/** @typedef {Distribution & { min: number, max: number }} Whole */
/** @typedef {Map<string, [i: number, value: number][]>} Groups by variant */

const HISTOGRAMS_AT_ONCE = 24;

/**
 * @param {HTMLElement} section
 * @param {string} query
 */
export async function drawMeasurements(section, query) {
  /** @type {Measurements} */
  const data = await unpack("data-measurements");
  const parameters = new URLSearchParams(query);
  show(section, el("h2", {}, "Measurements"),
    ...histogramParts(data.histograms),
    ...distributionParts(data.metrics),
    ...metricParts(data.metrics, parameters.get("metric")));
}

/** @param {number[]} cases */
function labels(cases) {
  const varying = new Set(varyingAxes(cases));
  return rowAxes(varying);
}

/**
 * @param {Histogram[]} all
 * @returns {Child[]}
 */
function histogramParts(all) {
  if (!all.length) return [];
  /** @type {Map<string, Histogram[]>} */
  const groups = new Map();
  for (const each of all) {
    const key = `${axisValue(each.case, "test")}: ${each.name}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  const parts = [el("h3", {}, "Latency histograms"),
    el("p", { class: "about" }, "How many deadlines were met how late: both scales are logarithmic, every plot of a test has the same ones.")];
  for (const [name, found] of groups) {
    const axes = labels(found.map((each) => each.case));
    const high = Math.max(...found.flatMap((each) => each.buckets.map(([, count]) => count)));
    const bounds = found.flatMap((each) => each.buckets.map(([bound]) => bound)).filter((bound) => bound < 2 ** 60);
    const [from, to] = extent(bounds, [1, 2]);
    parts.push(el("h4", { class: "mono" }, name), el("div", { class: "multiples" },
      found.slice(0, HISTOGRAMS_AT_ONCE).map((each) => histogram(each, variantWords(each.case, axes), from / 2, to, high))));
    if (found.length > HISTOGRAMS_AT_ONCE) parts.push(el("p", {}, `… and ${found.length - HISTOGRAMS_AT_ONCE} more; each case has its own.`));
  }
  return parts;
}

/**
 * Bars between powers of two, on a logarithmic scale of counts that begins below one.
 * @param {Histogram} found
 * @param {string} label
 * @param {number} from
 * @param {number} to
 * @param {number} most of the highest bar
 */
function histogram({ case: i, attempt, unit, buckets }, label, from, to, most) {
  const [width, height, left, bottom, top] = [300, 178, 34, 138, 22];
  const x = scale(true, from, to, left, width - 8);
  const y = scale(true, 0.7, Math.max(most, 10), bottom, top);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  const parts = [];
  for (const count of ticks(1, Math.max(most, 10), true, 4)) {
    parts.push(svg("line", { x1: left, x2: width - 8, y1: y(count), y2: y(count), class: "grid" }),
      svg("text", { x: left - 4, y: y(count) + 4, "text-anchor": "end" }, count.toLocaleString("en")));
  }
  for (const value of ticks(from, to, true, 4)) {
    const words = quantity(value, unit);
    const over = x(value) + words.length * 3.2 - width; // what would be cut off at the right
    parts.push(svg("text", { x: x(value) - Math.max(0, over), y: bottom + 16, "text-anchor": "middle" }, words));
  }
  for (const [bound, count] of buckets) {
    const [begin, end] = [x(Math.max(from, bound / 2)), x(Math.min(bound, to))];
    parts.push(svg("rect", { x: begin + 0.5, y: y(count), width: Math.max(1, end - begin - 1), height: bottom - y(count), class: "series s0 points" },
      svg("title", {}, `${count} of ${total} below ${quantity(bound, unit)}`)));
  }
  parts.push(svg("line", { x1: left, x2: width - 8, y1: bottom, y2: bottom, class: "axis" }),
    svg("text", { x: 0, y: 10 }, "how many"), svg("text", { x: (left + width) / 2, y: bottom + 33, "text-anchor": "middle" }, "how late"));
  const worst = quantity(buckets.at(-1)?.[0], unit);
  const words = `${total}, the latest < ${worst}`;
  return el("figure", { class: "multiple" }, el("figcaption", {}, link(caseLink(i), { class: "mono plain" }, label), attempt > 1 ? ` attempt ${attempt}` : "", el("small", {}, ` ${words}`)),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}: ${words}` }, parts));
}

/**
 * "NAME: min", "NAME: median", "NAME: p99" and "NAME: max" of one case are one distribution.
 * @param {Metric[]} metrics
 * @returns {Child[]}
 */
function distributionParts(metrics) {
  /** @type {Map<string, Distribution>} */
  const found = new Map();
  for (const [i, attempt, name, value, unit] of metrics) {
    const match = /^(.*): (min|median|p99|max)$/.exec(name);
    if (!match) continue;
    const key = `${i}\n${attempt}\n${match[1]}`;
    const one = found.get(key) ?? { i, attempt, name: `${axisValue(i, "test")}: ${match[1]}`, unit };
    found.set(key, { ...one, [match[2]]: value });
  }
  const whole = [...found.values()].flatMap(({ min, max, ...more }) => (min === undefined || max === undefined ? [] : [{ ...more, min, max }]));
  if (!whole.length) return [];
  const axes = labels(whole.map((each) => each.i));
  const names = [...new Set(whole.map((each) => each.name))];
  return [el("h3", {}, "Distributions"), ...names.flatMap((name) => {
    const rows = whole.filter((each) => each.name === name).slice(0, 200);
    const positive = rows.flatMap((each) => [each.min, each.max]).filter((value) => value > 0);
    const [low, high] = extent(positive, [1, 10]);
    return [el("h4", { class: "mono" }, name), rangeLegend(low, high, rows[0].unit), table(
      [["variant", "mono"], ["", "range"], ["min", "number"], ["median", "number"], ["p99", "number"], ["max", "number"]],
      rows.map((each) => [link(caseLink(each.i), { class: "plain" }, `${variantWords(each.i, axes)}${each.attempt > 1 ? ` #${each.attempt}` : ""}`), rangeBar(each, low, high),
        ...[each.min, each.median, each.p99, each.max].map((value) => quantity(value, each.unit))]))];
  })];
}

/**
 * @param {number} low
 * @param {number} high
 * @param {string} unit
 */
function rangeLegend(low, high, unit) {
  const key = (/** @type {string} */ shape, /** @type {string} */ series, /** @type {string} */ words) => el("span", {},
    svg("svg", { width: 16, height: 12, "aria-hidden": "true" }, svg("path", { d: shapePath(shape, 8, 6, 3.6), class: `series ${series} points` })), ` ${words}`);
  return el("p", { class: "legend faint" }, el("span", {}, `From ${quantity(low, unit)} to ${quantity(high, unit)}, logarithmic:`),
    el("span", {}, svg("svg", { width: 16, height: 12, "aria-hidden": "true" }, svg("rect", { y: 2, width: 16, height: 8, class: "series s0 points" })), " minimum to median"),
    key("triangle", "s1", "99th percentile"), key("square", "s2", "maximum"));
}

/**
 * @param {Whole} found
 * @param {number} low
 * @param {number} high
 */
function rangeBar({ min, median, p99, max }, low, high) {
  const x = scale(true, low, high > low ? high : low * 10, 6, 234);
  return svg("svg", { viewBox: "0 0 240 20", width: 240, height: 20, "aria-hidden": "true" },
    svg("line", { x1: x(min), x2: x(max), y1: 10, y2: 10, class: "whisker" }),
    svg("rect", { x: x(min), y: 6, width: Math.max(2, x(median ?? min) - x(min)), height: 8, class: "series s0 points" }),
    p99 === undefined ? null : svg("path", { d: shapePath("triangle", x(p99), 10, 4), class: "series s1 points" }),
    svg("path", { d: shapePath("square", x(max), 10, 3), class: "series s2 points" }));
}

/**
 * One named number over the variants; over the runs as a trend, where there are several.
 * @param {Metric[]} metrics
 * @param {string | null} wanted
 * @returns {Child[]}
 */
function metricParts(metrics, wanted) {
  const names = [...new Set(metrics.map(([i, , name]) => `${axisValue(i, "test")}: ${name}`))].sort(compare);
  if (!names.length) return [];
  const chosen = wanted !== null && names.includes(wanted) ? wanted : names[0];
  const rows = metrics.filter(([i, , name]) => `${axisValue(i, "test")}: ${name}` === chosen);
  const axes = labels(rows.map(([i]) => i)).filter((axis) => axis !== "run");
  const unit = rows[0][4];
  /** @type {Groups} */
  const groups = new Map();
  for (const [i, , , value] of rows) {
    const label = variantWords(i, axes);
    groups.set(label, [...(groups.get(label) ?? []), [i, value]]);
  }
  const high = extent(rows.map(([, , , value]) => Math.abs(value)), [0, 1])[1] || 1;
  return [el("h3", {}, "Every number"),
    el("p", {}, choice("measurement", names.map((name) => [name, name]), chosen, (name) => {
      location.hash = `#measurements?${new URLSearchParams({ metric: name })}`;
    })),
    trend(groups, unit, chosen),
    el("p", { class: "about" }, `Bars are medians, from 0 to ${quantity(high, unit)}.`),
    table([["variant", "mono"], ["", "range"], ["values", "number"], ["median", "number"], ["max", "number"]], [...groups].map(([label, found]) => {
      const values = found.map(([, value]) => value).sort((a, b) => a - b);
      const median = values[Math.floor((values.length - 1) / 2)];
      return [link(caseLink(found[0][0]), { class: "plain" }, label),
        svg("svg", { viewBox: "0 0 240 14", width: 240, height: 14, "aria-hidden": "true" }, svg("rect", { x: 0, y: 2, width: Math.max(1, (Math.abs(median) / high) * 240), height: 10, class: "series s0 points" })),
        String(values.length), quantity(median, unit), quantity(values.at(-1), unit)];
    }))];
}

/**
 * @param {Groups} groups
 * @param {string} unit
 * @param {string} name
 */
function trend(groups, unit, name) {
  const runs = index.words.run;
  const measured = new Set([...groups.values()].flat().map(([i]) => index.columns.run[i]));
  if (measured.size < 2) return null;
  const series = [...groups].slice(0, 6).map(([label, found]) => {
    const values = new Array(runs.length).fill(null);
    for (const [i, value] of found) values[index.columns.run[i]] = value;
    return { name: label, values, line: true };
  });
  return chart({ label: `${name} over the runs`, x: runs.map((_, place) => place), xLabel: "run, oldest first", whole: true, xFormat: (place) => runs[place] ?? "",
    yFormat: (value) => quantity(value, unit), series, height: 240 });
}
