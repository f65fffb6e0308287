// The heat map: variants down, tests across, the worst verdict in every cell.

import { axisName, BAD, GLYPHS, index, rowAxes, axisValue, varyingAxes, verdictOf } from "./data.js";
import { caseLink, choice, el, link, plural, seconds, show, svg } from "./dom.js";
import { exactChips, Filter } from "./filter.js";

/** @typedef {{ axes: string[], keys: string[], folded: string[] }} Rows keys: the row of each case */
/**
 * @typedef {object} Columns
 * @property {"test" | "area" | "tests"} kind
 * @property {[name: string, change: Record<string, string>][]} heads
 * @property {(i: number) => number[]} of the columns of a case
 */
/** @typedef {Map<string, { first: number, cells: Map<number, number[]> }>} Grid cases by row and column */

const MOST_ROWS = 80;
const MOST_COLUMNS = 40;
const SHADES = 4; // of a cell's time
const WORDY_COLUMNS = 12; // up to so many columns a cell has its verdict as a word

/**
 * @param {HTMLElement} section
 * @param {string} query
 */
export function drawMatrix(section, query) {
  const filter = new Filter(query);
  const cases = filter.cases();
  const rows = matrixRows(cases);
  const columns = matrixColumns(cases, filter);
  const grid = matrixCells(cases, rows, columns);
  show(section,
    el("h2", {}, "Matrix"),
    el("div", { class: "chips" }, exactChips(filter, "matrix"),
      filter.with({ show: "" }).query() ? link("#matrix", { class: "chip" }, "show everything") : null),
    el("p", { class: "reason" }, filter.problems()),
    el("p", {}, choice("cells show", [["", "verdicts"], ["time", "times"]], filter.show, (value) => {
      location.hash = `#matrix?${filter.with({ show: value }).query()}`;
    })),
    cases.length ? el("p", { class: "about" }, matrixWords(cases, rows, columns, filter)) : el("p", {}, "No case matches."),
    el("div", { class: "scroll map" }, heatMap(grid, rows, columns, filter)),
    filter.show === "time" ? el("p", { class: "legend" }, "Of several cases the sum of their times. The darker, the longer.") : legend(cases));
}

/**
 * The rows: as many axes as leave the rows few enough; the others are folded.
 * @param {number[]} cases
 * @returns {Rows}
 */
function matrixRows(cases) {
  const varying = new Set(varyingAxes(cases));
  const wanted = rowAxes(varying);
  /** @type {string[]} */
  const axes = [];
  let keys = cases.map(() => "");
  for (const axis of wanted) {
    const column = index.columns[axis];
    const finer = keys.map((key, place) => `${key}${column[cases[place]]},`);
    if (new Set(finer).size > MOST_ROWS) continue;
    axes.push(axis);
    keys = finer;
  }
  return { axes, keys, folded: wanted.filter((axis) => !axes.includes(axis)) };
}

/**
 * The different numbers of some cases: those that a case has that did not pass come first.
 * @param {number[]} cases
 * @param {(i: number) => number[]} of
 */
function failingFirst(cases, of) {
  const bad = new Set(cases.filter((i) => BAD.has(verdictOf(i))).flatMap(of));
  return [...new Set(cases.flatMap(of))].sort((a, b) => Number(bad.has(b)) - Number(bad.has(a)) || a - b);
}

/**
 * The columns: tests; their areas where they are too many; else stretches of them.
 * @param {number[]} cases
 * @param {Filter} filter
 * @returns {Columns}
 */
function matrixColumns(cases, filter) {
  const tests = failingFirst(cases, (i) => [index.columns.test[i]]);
  const names = index.words.test;
  if (tests.length <= MOST_COLUMNS) {
    return { kind: "test", heads: tests.map((number) => [names[number], { test: names[number] }]),
      of: (i) => [tests.indexOf(index.columns.test[i])] };
  }
  const areas = failingFirst(cases, (i) => index.areas[index.area[i]]);
  if (areas.length > 1 && !filter.exact.has("area") && !filter.tests) {
    return { kind: "area", heads: areas.map((number) => [index.area_names[number], { area: index.area_names[number] }]),
      of: (i) => index.areas[index.area[i]].map((number) => areas.indexOf(number)) };
  }
  tests.sort((a, b) => a - b);
  const size = Math.ceil(tests.length / MOST_COLUMNS);
  const places = new Map(tests.map((number, place) => [number, Math.floor(place / size)]));
  /** @type {Columns["heads"]} */
  const heads = [];
  for (let start = 0; start < tests.length; start += size) {
    const [first, last] = [tests[start], tests[Math.min(start + size, tests.length) - 1]];
    heads.push([`${names[first]} … ${names[last]}`, { tests: `${first}-${last}` }]);
  }
  return { kind: "tests", heads, of: (i) => [places.get(index.columns.test[i]) ?? 0] };
}

/**
 * @param {number[]} cases
 * @param {Rows} rows
 * @param {Columns} columns
 */
function matrixCells(cases, rows, columns) {
  /** @type {Grid} */
  const grid = new Map();
  cases.forEach((i, place) => {
    const key = rows.keys[place];
    const row = grid.get(key) ?? { first: i, cells: new Map() };
    grid.set(key, row);
    for (const column of columns.of(i)) {
      const cell = row.cells.get(column) ?? [];
      row.cells.set(column, cell);
      cell.push(i);
    }
  });
  return grid;
}

/**
 * @param {number[]} cases
 * @param {Rows} rows
 * @param {Columns} columns
 * @param {Filter} filter
 */
function matrixWords(cases, rows, columns, filter) {
  const folded = rows.folded.length ? ` Folded: ${rows.folded.map(axisName).join(", ")}; a row's name unfolds them.` : "";
  const across = { test: "", area: " Tests are folded into areas; an area's name unfolds it.",
    tests: " Tests are folded into stretches; a stretch's name unfolds it." }[columns.kind];
  const cells = filter.show === "time" ? "Every cell leads to its cases."
    : "Every cell leads to its cases; of several it has what passed of what ran, what was skipped, and a bar of all verdicts.";
  return `${plural(cases.length, "case")}. ${cells}${across}${folded}`;
}

/**
 * @param {Grid} grid
 * @param {Rows} rows
 * @param {Columns} columns
 * @param {Filter} filter
 */
function heatMap(grid, rows, columns, filter) {
  const wordy = columns.heads.length <= WORDY_COLUMNS;
  const head = el("tr", {},
    rows.axes.map((axis) => el("th", { scope: "col", class: "axis" }, axisName(axis))),
    columns.heads.map(([name, change]) => el("th", { scope: "col", class: wordy ? "flat" : "tall" },
      link(`#${columns.kind === "test" ? "cases" : "matrix"}?${filter.with(change).query()}`, {}, el("span", {}, name)))));
  /** @type {string[]} */
  let before = [];
  const ordered = orderedRows(grid, rows);
  const times = filter.show === "time";
  const longest = Math.max(...ordered.flatMap(({ cells }) => [...cells.values()].map(timeOfCell)));
  const body = ordered.map(({ first, cells }) => {
    const values = rows.axes.map((axis) => axisValue(first, axis));
    const change = Object.fromEntries(rows.axes.map((axis, place) => [axis, values[place]]));
    const narrowed = filter.with(change);
    const heads = values.map((value, place) => {
      const same = values.slice(0, place + 1).every((each, at) => each === before[at]);
      return el("th", { scope: "row", class: same ? "same" : null },
        link(`#matrix?${narrowed.query()}`, { class: "plain" }, value || "–"));
    });
    before = values;
    return el("tr", {}, heads, columns.heads.map(([name, more], place) => {
      const where = `${values.filter(Boolean).join(" ")}, ${name}`;
      return times ? timeCell(cells.get(place), narrowed.with(more), longest, where)
        : heatCell(cells.get(place), narrowed.with(more), wordy, where);
    }));
  });
  const map = el("table", { class: `heat ${wordy ? "wordy" : "dense"}`, onkeydown: (event) => moveInTable(event, map) },
    el("thead", {}, head), el("tbody", {}, body));
  return map;
}

/**
 * The rows by their axes, so that those with the same value stay together; of each axis the values
 * with a case that did not pass come first.
 * @param {Grid} grid
 * @param {Rows} rows
 */
function orderedRows(grid, rows) {
  const key = (/** @type {number} */ i, /** @type {number} */ depth) => rows.axes.slice(0, depth + 1).map((axis) => index.columns[axis][i]).join();
  const failing = new Set();
  for (const { first, cells } of grid.values()) {
    if ([...cells.values()].flat().some((i) => BAD.has(verdictOf(i)))) rows.axes.forEach((_, depth) => failing.add(key(first, depth)));
  }
  return [...grid.values()].sort((a, b) => {
    const depth = rows.axes.findIndex((axis) => index.columns[axis][a.first] !== index.columns[axis][b.first]);
    if (depth < 0) return 0;
    const bad = (/** @type {number} */ i) => Number(failing.has(key(i, depth)));
    return bad(b.first) - bad(a.first) || index.columns[rows.axes[depth]][a.first] - index.columns[rows.axes[depth]][b.first];
  });
}

/**
 * @param {number[] | undefined} cases
 * @param {Filter} filter
 * @param {boolean} wordy
 * @param {string} where
 */
function heatCell(cases, filter, wordy, where) {
  if (!cases) return el("td", { class: "empty" });
  const counts = new Map();
  for (const i of cases) counts.set(verdictOf(i), (counts.get(verdictOf(i)) ?? 0) + 1);
  const worst = cellVerdict(counts);
  const words = [...counts].map(([verdict, count]) => `${count} ${verdict}`).join(", ");
  const one = cases.length === 1;
  const text = one ? (wordy ? worst : GLYPHS[worst]) : cellCount(counts, cases.length, worst, wordy);
  const title = `${where}: ${one ? worst : words}`;
  const part = !one && BAD.has(worst) && (counts.get(worst) ?? 0) * 2 < cases.length;
  return el("td", {}, link(one ? caseLink(cases[0]) : `#cases?${filter.query()}`,
    { class: `v-${worst}${part ? " part" : ""}`, title, "aria-label": title }, text, one ? null : cellBar(counts, cases.length)));
}

/**
 * How long the cases of a cell took together.
 * @param {number[] | undefined} cases
 * @param {Filter} filter
 * @param {number} longest of all cells, in seconds
 * @param {string} where
 */
function timeCell(cases, filter, longest, where) {
  if (!cases) return el("td", { class: "empty" });
  const time = timeOfCell(cases);
  const text = time ? seconds(time) : "–";
  const shade = time ? Math.ceil((time / longest) * SHADES) : 0;
  const title = `${where}: ${text}`;
  return el("td", {}, link(cases.length === 1 ? caseLink(cases[0]) : `#cases?${filter.query()}`,
    { class: `time t${shade}`, title, "aria-label": title }, text));
}

/** @param {number[]} cases */
function timeOfCell(cases) {
  return cases.reduce((sum, i) => sum + index.seconds[i], 0);
}

/**
 * The verdicts of several cases as parts of a bar, the worst first; none is too small to see.
 * @param {Map<string, number>} counts
 * @param {number} total
 */
function cellBar(counts, total) {
  const parts = [...index.verdicts, "unfinished"].filter((verdict) => counts.has(verdict))
    .map((verdict) => /** @type {[string, number]} */ ([verdict, Math.max(counts.get(verdict) ?? 0, total / 20)]));
  const width = 100 / parts.reduce((sum, [, size]) => sum + size, 0);
  let x = 0;
  return svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    parts.map(([verdict, size]) => {
      x += size * width;
      return svg("rect", { class: `f-${verdict}`, x: x - size * width, width: size * width, height: 10 });
    }));
}

/**
 * The worst verdict; but what was skipped does not hide what passed.
 * @param {Map<string, number>} counts
 */
function cellVerdict(counts) {
  const worst = [...index.verdicts, "unfinished"].find((verdict) => counts.has(verdict)) ?? "unfinished";
  return worst === "skip" && counts.has("pass") ? "pass" : worst;
}

/**
 * What passed of what ran, and what was skipped or has no result: numbers that add up.
 * @param {Map<string, number>} counts
 * @param {number} total
 * @param {string} worst
 * @param {boolean} wordy
 */
function cellCount(counts, total, worst, wordy) {
  const count = (/** @type {string} */ verdict) => counts.get(verdict) ?? 0;
  const ran = total - count("skip") - count("unfinished");
  const rest = ["skip", "unfinished"].filter(count)
    .map((verdict) => (wordy ? `${count(verdict)} ${verdict}` : `${GLYPHS[verdict]}${count(verdict)}`));
  return [ran ? `${GLYPHS[worst]} ${count("pass")}/${ran}` : "", ...rest].filter(Boolean).join(" ");
}

/**
 * Arrow keys go from cell to cell.
 * @param {KeyboardEvent} event
 * @param {HTMLTableElement} map
 */
function moveInTable(event, map) {
  /** @type {Record<string, [down: number, right: number]>} */
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const step = steps[event.key];
  /** @type {HTMLTableCellElement | null} */
  const cell = /** @type {Element} */ (event.target).closest("td, th");
  if (!step || !cell) return;
  let [row, column] = [/** @type {HTMLTableRowElement} */ (cell.parentNode).rowIndex, cell.cellIndex];
  for (;;) {
    row += step[0];
    column += step[1];
    const next = map.rows[row]?.cells[column];
    if (!next) return;
    const target = next.querySelector("a");
    if (target) {
      target.focus();
      event.preventDefault();
      return;
    }
  }
}

/** @param {number[]} cases */
function legend(cases) {
  const seen = new Set(cases.map(verdictOf));
  return el("p", { class: "legend" }, [...index.verdicts, "unfinished"].filter((verdict) => seen.has(verdict))
    .map((verdict) => el("span", {}, el("span", { class: `swatch v-${verdict}`, "aria-hidden": "true" }, GLYPHS[verdict]), ` ${verdict} `)));
}
