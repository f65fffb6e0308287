// Side by side: what cases that differ in one axis only came to, how long they took, what they measured.

import { axisName, axisValue, BAD, index, rowAxes, unpack, variantWords, varyingAxes, verdictOf } from "./data.js";
import { badge, caseLink, choice, el, link, plural, quantity, round, seconds, show, table } from "./dom.js";
import { exactChips, Filter } from "./filter.js";

/**
 * @import { Child } from "./dom.js"
 * @import { Measurements } from "./measurements.js"
 */

/** @typedef {(number | undefined)[]} Cases one for each value of the axis; undefined: there is none */
/** @typedef {{ cases: Cases, first: number }} Group cases that differ in the axis only; one that is there */
/** @typedef {{ group: Group, name: string, numbers: (number | null)[], factor: number, unit: string }} Numbers */
/** @typedef {{ axis: string, values: number[], base: number, axes: string[] }} Plan axes: those that tell groups apart */

const MOST_COMPARED = 200;
const MOST_NUMBERS = 25;
const FACTOR = 1.5; // a time that changed by less is as before: matrix compare --slower
const LEAST_SECONDS = 1;
const TIMED = new Set(["pass", "fail", "xfail", "xpass"]); // others take as long as their limit, or nothing
/** @type {["downtime", "blackout", "total_time"]} */
const MEASURES = ["downtime", "blackout", "total_time"];

/**
 * @param {HTMLElement} section
 * @param {string} query
 */
export async function drawComparison(section, query) {
  const parameters = new URLSearchParams(query);
  const axes = Object.keys(index.groups).sort((a, b) => order(a) - order(b));
  const axis = axes.find((each) => each === parameters.get("by")) ?? axes[0];
  const filter = new Filter(query);
  const values = [...new Set(filter.cases().filter((i) => index.groups[axis][i] >= 0).map((i) => index.columns[axis][i]))].sort((a, b) => a - b);
  const words = index.words[axis];
  const base = values.find((value) => words[value] === parameters.get("base")) ?? values[0];
  const plan = { axis, values: [base, ...values.filter((value) => value !== base)], base, axes: [] };
  const groups = groupsOf(filter.cases(), plan);
  const to = (/** @type {Record<string, string>} */ changes) => {
    location.hash = `#comparison?${new URLSearchParams({ by: axis, base: words[base] ?? "", ...changes })}&${filter.query()}`;
  };
  show(section, el("h2", {}, "Comparison"),
    el("p", {}, choice("along", axes.map((each) => [each, axisName(each)]), axis, (by) => to({ by, base: "" })), " ",
      values.length ? choice("from", values.map((value) => [words[value], words[value] || "none"]), words[base], (value) => to({ base: value })) : null),
    el("div", { class: "chips" }, exactChips(filter, "comparison", `${new URLSearchParams({ by: axis, base: words[base] ?? "" })}&`)),
    groups.length
      ? el("p", { class: "about" }, `${plural(groups.length, "group")} of cases that differ in nothing but ${axisName(axis)}. A change is one from ${words[base] || "none"}.`)
      : el("p", {}, "No cases differ in this axis only."),
    ...(groups.length ? [overview(groups, plan), ...changesPart(groups, plan), ...timesPart(groups, plan),
      ...metricsPart(groups, plan, await unpack("data-measurements"))] : []));
}

/**
 * Axes by how likely somebody wants to compare along them: runs and QEMUs first, architectures last.
 * @param {string} axis
 */
function order(axis) {
  const place = ["run", "qemu", "kernel", "mode"].indexOf(axis);
  if (place >= 0) return place;
  return axis === "arch" ? 100 : 10 + index.axes.indexOf(axis);
}

/**
 * @param {number[]} cases
 * @param {Plan} plan its axes are filled in
 * @returns {Group[]}
 */
function groupsOf(cases, plan) {
  /** @type {Map<number, Group>} */
  const found = new Map();
  for (const i of cases) {
    const number = index.groups[plan.axis][i];
    if (number < 0) continue;
    const group = found.get(number) ?? { cases: plan.values.map(() => undefined), first: i };
    found.set(number, group);
    group.cases[plan.values.indexOf(index.columns[plan.axis][i])] ??= i;
  }
  const groups = [...found.values()].filter((group) => group.cases.filter((i) => i !== undefined).length > 1);
  plan.axes = rowAxes(new Set(varyingAxes(groups.map((group) => group.first)))).filter((axis) => axis !== plan.axis);
  return groups;
}

/** @param {Plan} plan */
function heads(plan) {
  return plan.values.map((value) => index.words[plan.axis][value] || "none");
}

/**
 * @param {Group} group
 * @param {Plan} plan
 */
function named(group, plan) {
  return [el("span", { class: "mono" }, axisValue(group.first, "test")), " ", el("small", {}, variantWords(group.first, plan.axes))];
}

/** @param {number} i */
function ran(i) {
  return !["skip", "unfinished"].includes(verdictOf(i));
}

/**
 * How a case stands to the base's: -1 worse, 1 better, 0 neither.
 * @param {number | undefined} base
 * @param {number | undefined} i
 */
function direction(base, i) {
  if (base === undefined || i === undefined) return 0;
  if (!ran(base) || !ran(i)) return ran(base) && verdictOf(i) === "skip" ? -1 : 0;
  return Number(BAD.has(verdictOf(base))) - Number(BAD.has(verdictOf(i)));
}

/**
 * One row for each value: what its cases came to.
 * @param {Group[]} groups
 * @param {Plan} plan
 */
function overview(groups, plan) {
  return table([[axisName(plan.axis), "mono"], ["passed of those that ran", "number"], ["verdicts", ""], ["worse", "number"], ["better", "number"], ["time", "number"]],
    plan.values.map((value, place) => {
      const pairs = groups.map((group) => [group.cases[0], group.cases[place]]);
      const cases = groups.map((group) => group.cases[place]).filter((i) => i !== undefined);
      const counts = [...index.verdicts, "unfinished"].map((verdict) => /** @type {const} */ ([verdict, cases.filter((i) => verdictOf(i) === verdict).length]));
      const count = (/** @type {number} */ wanted) => (place ? pairs.filter(([a, b]) => direction(a, b) === wanted).length.toLocaleString("en") : "");
      return [index.words[plan.axis][value] || "none", `${cases.filter((i) => verdictOf(i) === "pass").length}/${cases.filter(ran).length}`,
        counts.filter(([, number]) => number).map(([verdict, number]) => [badge(verdict, number), " "]),
        count(-1), count(1), seconds(cases.reduce((sum, i) => sum + index.seconds[i], 0))];
    }));
}

/**
 * @param {Group[]} groups
 * @param {Plan} plan
 * @returns {Child[]}
 */
function changesPart(groups, plan) {
  const differ = groups.filter(({ cases }) => new Set(cases.flatMap((i) => (i === undefined || verdictOf(i) === "unfinished" ? [] : [verdictOf(i)]))).size > 1);
  const weight = (/** @type {Group} */ group) => Math.min(...group.cases.map((i) => direction(group.cases[0], i)));
  const rank = (/** @type {Group} */ group) => [-1, 1, 0].indexOf(weight(group) || Math.max(...group.cases.map((i) => direction(group.cases[0], i))));
  const rows = differ.sort((a, b) => rank(a) - rank(b)).slice(0, MOST_COMPARED).map((group) => {
    const base = group.cases[0];
    const worst = group.cases.find((i) => i !== undefined && BAD.has(verdictOf(i))) ?? group.cases.find((i) => i !== undefined && !ran(i));
    return [named(group, plan), ...group.cases.map((i) => verdictCell(base, i)), worst === undefined ? "" : index.reasons[index.reason[worst]]];
  });
  return [el("h3", {}, "Pass and fail"),
    rows.length ? table([["case", ""], ...columns(plan, ""), ["reason", "why"]], rows) : el("p", {}, `All ${plural(groups.length, "group")} came to the same.`),
    more(differ.length, MOST_COMPARED)];
}

/**
 * @param {Plan} plan
 * @param {string} kind
 * @returns {[string, string][]}
 */
function columns(plan, kind) {
  return heads(plan).map((head) => [head, kind]);
}

/**
 * @param {number} count
 * @param {number} most
 */
function more(count, most) {
  return count > most ? el("p", {}, `… and ${(count - most).toLocaleString("en")} more; a filter in the address, such as &arch=s390x, narrows them.`) : null;
}

/**
 * @param {number | undefined} base
 * @param {number | undefined} i
 */
function verdictCell(base, i) {
  if (i === undefined) return el("span", { class: "faint" }, "–");
  const words = { "-1": " worse", 1: " better", 0: "" }[direction(base, i)];
  return [link(caseLink(i), { class: "plain", title: index.reasons[index.reason[i]] }, badge(verdictOf(i))), words ? el("small", {}, words) : null];
}

/**
 * @param {Group[]} groups
 * @param {Plan} plan
 * @returns {Child[]}
 */
function timesPart(groups, plan) {
  const rows = groups.flatMap((group) => {
    const base = group.cases[0];
    const numbers = group.cases.map((i) => (base !== undefined && i !== undefined && TIMED.has(verdictOf(i)) && verdictOf(i) === verdictOf(base) ? index.seconds[i] : null));
    return numbersOf(group, "time", numbers, "s");
  });
  const changed = rows.filter(({ factor, numbers }) => Math.max(factor, 1 / factor) >= FACTOR && numbers.some((value) => value !== null && Math.abs(value - (numbers[0] ?? 0)) >= LEAST_SECONDS));
  return [el("h3", {}, "Times"),
    el("p", { class: "about" }, `${changed.length.toLocaleString("en")} of ${plural(rows.length, "time")} of the same verdict changed by a factor of ${FACTOR} and a second; the largest changes first. A single run on a busy machine proves little.`),
    ...numbersTable(rows, plan, "case")];
}

/**
 * What guests printed, as the median of a case's attempts, and what their hops took.
 * @param {Group[]} groups
 * @param {Plan} plan
 * @param {Measurements} measurements
 * @returns {Child[]}
 */
function metricsPart(groups, plan, measurements) {
  /** @type {Map<number, Map<string, { values: number[], unit: string }>>} */
  const found = new Map();
  const add = (/** @type {number} */ i, /** @type {string} */ name, /** @type {number} */ value, /** @type {string} */ unit) => {
    const of = found.get(i) ?? new Map();
    found.set(i, of);
    const key = `${name}\n${unit}`;
    of.set(key, { unit, values: [...(of.get(key)?.values ?? []), value] });
  };
  for (const [i, , name, value, unit] of measurements.metrics) add(i, name, value, unit);
  for (const entry of index.migrations) {
    for (const name of MEASURES) {
      const middle = entry[name].median;
      if (middle !== null) add(entry.case, `${name.replace("_", " ")}, median of hops`, middle, "s");
    }
  }
  const rows = groups.flatMap((group) => {
    const names = new Set(group.cases.flatMap((i) => [...(found.get(i ?? -1)?.keys() ?? [])]));
    return [...names].flatMap((key) => {
      const unit = key.slice(key.lastIndexOf("\n") + 1);
      return numbersOf(group, key.slice(0, key.lastIndexOf("\n")), group.cases.map((i) => median(found.get(i ?? -1)?.get(key)?.values)), unit);
    });
  });
  if (!rows.length) return [];
  return [el("h3", {}, "Metrics"), el("p", { class: "about" }, "What guests and hops measured, as the median of a case; the largest changes first."), ...numbersTable(rows, plan, "metric")];
}

/** @param {number[] | undefined} values */
function median(values) {
  if (!values?.length) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/**
 * Numbers of a group with the largest factor from the base's; none where there is nothing to compare.
 * @param {Group} group
 * @param {string} name
 * @param {(number | null)[]} numbers
 * @param {string} unit
 * @returns {Numbers[]}
 */
function numbersOf(group, name, numbers, unit) {
  const base = numbers[0];
  const factors = numbers.slice(1).flatMap((value) => (value !== null && base !== null && value > 0 && base > 0 ? [value / base] : []));
  if (!factors.length) return [];
  return [{ group, name, numbers, unit, factor: factors.reduce((far, each) => (Math.abs(Math.log(each)) > Math.abs(Math.log(far)) ? each : far)) }];
}

/**
 * @param {Numbers[]} rows
 * @param {Plan} plan
 * @param {"case" | "metric"} what
 * @returns {Child[]}
 */
function numbersTable(rows, plan, what) {
  if (!rows.length) return [];
  rows.sort((a, b) => Math.abs(Math.log(b.factor)) - Math.abs(Math.log(a.factor)));
  return [table([["case", ""], ...(what === "metric" ? [/** @type {[string, string]} */ (["metric", "mono"])] : []), ...columns(plan, "number")],
    rows.slice(0, MOST_NUMBERS).map(({ group, name, numbers, unit }) => [named(group, plan), ...(what === "metric" ? [name] : []),
      ...numbers.map((value, place) => numberCell(group.cases[place], value, place ? numbers[0] : null, unit))])),
  more(rows.length, MOST_NUMBERS)];
}

/**
 * @param {number | undefined} i
 * @param {number | null} value
 * @param {number | null} base
 * @param {string} unit
 */
function numberCell(i, value, base, unit) {
  if (i === undefined || value === null) return "–";
  const factor = base !== null && base > 0 && value > 0 ? value / base : 1;
  const words = Math.abs(Math.log(factor)) < 0.005 ? "" : factor > 1 ? ` ×${round(factor)}` : ` ÷${round(1 / factor)}`;
  return [link(caseLink(i), { class: "plain" }, quantity(value, unit)), el("small", {}, words)];
}
