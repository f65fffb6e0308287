// Which cases are meant: words to search for, verdicts, and exact values of axes.
// A filter lives in the address, so that every view of the report can be linked to.

import { areasOf, axisName, BAD, haystack, index, axisValue, verdictOf } from "./data.js";
import { link } from "./dom.js";

/** @typedef {(i: number) => boolean} Matches whether a case is meant */

const FIELDS = ["area", "reason"]; // beside the axes
const OTHERS = new Set(["q", "v", "tests", "sort", "show"]);

/**
 * The axis or other field that somebody means, by its name or by what the report calls it.
 * @param {string} word
 */
function fieldOf(word) {
  const fields = [...index.axes, ...FIELDS, "verdict"];
  return fields.find((each) => each === word) ?? fields.find((each) => axisName(each).toLowerCase() === word);
}

export class Filter {
  /** @param {string} query */
  constructor(query = "") {
    const parameters = new URLSearchParams(query);
    this.text = parameters.get("q") ?? "";
    this.verdicts = new Set(parameters.getAll("v"));
    if (this.verdicts.delete("bad")) for (const verdict of BAD) this.verdicts.add(verdict);
    /** @type {Map<string, string[]>} */
    this.exact = new Map();
    for (const axis of [...index.axes, ...FIELDS]) {
      const values = parameters.getAll(axis);
      if (values.length) this.exact.set(axis, values);
    }
    this.sort = parameters.get("sort") ?? ""; // a column's name, with "-" before it from the greatest
    this.show = parameters.get("show") ?? ""; // "time": the matrix has times instead of verdicts
    /** @type {string[]} */
    this.unknown = [...parameters.keys()].filter((name) => name && !OTHERS.has(name) && !index.axes.includes(name) && !FIELDS.includes(name));
    this.tests = parameters.get("tests") ?? ""; // FIRST-LAST: a stretch of the tests' numbers
  }

  query() {
    const parameters = new URLSearchParams();
    if (this.text) parameters.set("q", this.text);
    for (const verdict of this.verdicts) parameters.append("v", verdict);
    for (const [axis, values] of this.exact) {
      for (const value of values) parameters.append(axis, value);
    }
    if (this.tests) parameters.set("tests", this.tests);
    if (this.sort) parameters.set("sort", this.sort);
    if (this.show) parameters.set("show", this.show);
    return parameters.toString();
  }

  /** @param {Record<string, string | null>} changes an axis to its value, or null for any; "tests" and "show" too */
  with(changes) {
    const filter = new Filter(this.query());
    for (const [axis, value] of Object.entries(changes)) {
      if (axis === "tests" || axis === "show") filter[axis] = value ?? "";
      else if (value === null) filter.exact.delete(axis);
      else filter.exact.set(axis, [value]);
    }
    return filter;
  }

  /**
   * The cases that match, without regard to the verdicts where asked so.
   * @param {{ anyVerdict?: boolean }} options
   */
  cases({ anyVerdict = false } = {}) {
    const tests = [...this.exactTests(), ...this.textTests()];
    if (!anyVerdict && this.verdicts.size) tests.push((i) => this.verdicts.has(verdictOf(i)));
    const found = [];
    for (let i = 0; i < index.size; i++) if (tests.every((test) => test(i))) found.push(i);
    return found;
  }

  /** @returns {Generator<Matches>} */
  *exactTests() {
    for (const [axis, values] of this.exact) {
      if (axis === "area") {
        yield (i) => areasOf(i).some((area) => values.includes(area));
      } else if (axis === "reason" || axis === "host") {
        yield (i) => values.includes(axisValue(i, axis));
      } else {
        const wanted = new Set(values.map((value) => index.words[axis].indexOf(value)));
        const column = index.columns[axis];
        yield (i) => wanted.has(column[i]);
      }
    }
    if (this.tests) {
      const [first, last] = this.tests.split("-").map(Number);
      const column = index.columns.test;
      yield (i) => column[i] >= first && column[i] <= last;
    }
  }

  /**
   * Words are looked for everywhere, FIELD:WORD in one place; "-" before it: what must not be.
   * @returns {Generator<Matches>}
   */
  *textTests() {
    for (const [not, name, word] of this.words()) {
      const field = fieldOf(name);
      /** @type {(i: number) => string} */
      const of = field === "verdict" ? verdictOf : field === "area" ? (i) => areasOf(i).join("\n").toLowerCase()
        : field ? (i) => axisValue(i, field).toLowerCase() : haystack;
      const wanted = name && !field ? `${name}:${word}` : word;
      yield (i) => of(i).includes(wanted) !== not;
    }
  }

  /** @returns {[not: boolean, field: string, word: string][]} */
  words() {
    return [...this.text.toLowerCase().matchAll(/(-?)(?:([a-z_]+):)?(?:"([^"]*)"?|(\S+))/g)]
      .map(([, not, field, quoted, bare]) => [not === "-", field ?? "", quoted ?? bare]);
  }

  /** What of it names nothing that there is, in a sentence; empty where all of it does. */
  problems() {
    const words = this.words().map(([, field]) => field).filter((field) => field && !fieldOf(field));
    const found = [...new Set(words.map((word) => `"${word}:" is no column, and is searched for as a word`)),
      ...this.unknown.map((name) => `"${name}" in the address is no filter, and is ignored`)];
    return found.length ? `${found.join("; ")}. There are: ${[...index.axes, ...FIELDS, "verdict"].join(", ")}.` : "";
  }
}

/**
 * Chips that say which values are filtered on, each of which takes its filter away.
 * @param {Filter} filter
 * @param {string} view
 * @param {string} more what the address has beside the filter
 */
export function exactChips(filter, view, more = "") {
  const chips = [...filter.exact].map(([axis, values]) => link(
    `#${view}?${more}${filter.with({ [axis]: null }).query()}`, { class: "chip", title: "take this filter away" },
    `${axisName(axis)}: ${values.map((value) => value || "none").join(", ")} ×`));
  if (filter.tests) {
    const [first, last] = filter.tests.split("-").map((number) => index.words.test[Number(number)]);
    chips.push(link(`#${view}?${more}${filter.with({ tests: "" }).query()}`, { class: "chip" },
      `tests: ${first} … ${last} ×`));
  }
  return chips;
}
