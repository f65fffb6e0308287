// The history: how the latest runs ended, what broke when, and where times and numbers go.

import { chart } from "./chart.js";
import { BAD, GLYPHS, index, unpack } from "./data.js";
import { caseLink, choice, el, link, plural, quantity, round, seconds, show, table } from "./dom.js";

/**
 * What the history knows of the cases (matrix/report/past_runs.py).
 * @typedef {object} Past
 * @property {PastRun[]} runs oldest first
 * @property {PastCase[]} cases
 * @property {boolean} all whether it has those, too, that did nothing but pass
 */
/** @typedef {{ started: string, host: string, counts: [verdict: string, count: number][] }} PastRun */
/**
 * @typedef {object} PastCase
 * @property {number} case
 * @property {(number | null)[]} verdicts of each run, null: not in it
 * @property {(number | null)[]} seconds
 * @property {{ good: string, bad: string, runs: number, changed: [what: string, a: string, b: string][] } | null} broke
 * @property {number} flaky
 * @property {[name: string, unit: string, medians: number[]][]} metrics
 */

/**
 * @param {HTMLElement} section
 * @param {string} query
 */
export async function drawHistory(section, query) {
  /** @type {Past} */
  const past = await unpack("data-past");
  const parameters = new URLSearchParams(query);
  const wanted = past.cases.find((each) => String(each.case) === parameters.get("case")) ?? defaultCase(past);
  show(section, el("h2", {}, "History"), runsChart(past), brokenNow(past), strips(past),
    el("h3", {}, "Trends"),
    el("p", {}, choice("case", past.cases.map((each) => [String(each.case), index.id[each.case]]), String(wanted.case),
      (value) => { location.hash = `#history?case=${value}`; })),
    trends(past, wanted));
}

/** @param {Past} past */
function defaultCase(past) {
  return past.cases.find((each) => each.metrics.length) ?? past.cases[0];
}

/**
 * @param {Past} past
 * @param {number} place
 */
function pastRunName(past, place) {
  return past.runs[place]?.started ?? "";
}

/** @param {Past} past */
function runsChart(past) {
  /** @type {(run: PastRun, test: (verdict: string) => boolean) => number} */
  const count = (run, test) => run.counts.filter(([verdict]) => test(verdict)).reduce((sum, [, number]) => sum + number, 0);
  return chart({
    label: "Cases that did not pass, run by run", x: past.runs.map((_, place) => place), xLabel: "run, oldest first", whole: true,
    xFormat: (place) => pastRunName(past, place).slice(5, 16), yFormat: (value) => round(value), height: 180,
    series: [{ name: "did not pass", values: past.runs.map((run) => count(run, (verdict) => BAD.has(verdict))), line: true }],
    describe: (place) => `${past.runs[place].started} on ${past.runs[place].host}: ${past.runs[place].counts.map(([verdict, number]) => `${number} ${verdict}`).join(", ")}`,
  });
}

/** @param {Past} past */
function brokenNow(past) {
  const found = past.cases.flatMap(({ case: i, broke }) => (broke ? [{ i, ...broke }] : []));
  if (!found.length) return el("p", {}, past.all ? "No case is broken that was good before." : "");
  return el("div", {}, el("h3", {}, "Broken now, and good before"), table(
    [["case", "mono"], ["for", "number"], ["last good", ""], ["first bad", ""], ["what else changed then", ""]],
    found.slice(0, 200).map(({ i, runs, good, bad, changed }) => [link(caseLink(i), {}, index.id[i]), plural(runs, "run"), good, bad,
      changed.length ? changed.map(([what, a, b]) => el("div", {}, `${what}: ${a || "none"} → ${b || "none"}`)) : "nothing that is known"])));
}

/**
 * A line of signs per case, one for each run; those that did anything but pass come first.
 * @param {Past} past
 */
function strips(past) {
  /** @type {(each: PastCase) => number} */
  const weight = (each) => each.verdicts.filter((verdict) => verdict !== null && BAD.has(index.verdicts[verdict])).length;
  const ordered = [...past.cases].sort((a, b) => weight(b) - weight(a)).slice(0, 200);
  return el("div", {}, el("h3", {}, "Run by run"), table([["case", "mono"], ["oldest to latest", ""], ["flaky", "number"]],
    ordered.map((each) => [link(caseLink(each.case), { class: "plain" }, index.id[each.case]),
      el("span", { class: "strip" }, each.verdicts.map((verdict, place) => {
        const name = verdict === null ? "unfinished" : index.verdicts[verdict];
        const words = `${pastRunName(past, place)}: ${verdict === null ? "not in this run" : name}`;
        return el("span", { class: verdict === null ? "gone" : `v-${name}`, title: words, "aria-label": words, role: "img" }, verdict === null ? " " : GLYPHS[name]);
      })),
      each.flaky ? `${Math.round(each.flaky * 100)} %` : ""])),
    past.cases.length > ordered.length ? el("p", {}, `… and ${past.cases.length - ordered.length} more`) : null);
}

/**
 * @param {Past} past
 * @param {PastCase} wanted
 */
function trends(past, wanted) {
  const shared = { whole: true, xLabel: "run, oldest first", height: 170 };
  const charts = [chart({ ...shared, label: "Time", x: past.runs.map((_, place) => place), xFormat: (place) => pastRunName(past, place).slice(5, 16),
    yFormat: seconds, series: [{ name: "seconds", values: wanted.seconds, line: true }],
    describe: (place) => `${pastRunName(past, place)}: ${seconds(wanted.seconds[place])}` })];
  for (const [name, unit, values] of wanted.metrics) {
    charts.push(chart({ ...shared, label: name, x: values.map((_, place) => place + 1), xFormat: (value) => String(value), xLabel: "run that has it, oldest first",
      log: "auto", yFormat: (value) => quantity(value, unit), series: [{ name: "median", values, line: true }] }));
  }
  return el("div", { class: "multiples wide-ones" }, charts);
}
