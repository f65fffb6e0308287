// Live migration: hops with their limits, bytes and passes, time lines, and the grid of versions.

import { chart } from "./chart.js";
import { compare, GLYPHS, index, unpack, verdictOf } from "./data.js";
import { deviceTimes, medianTimes } from "./devices.js";
import { badge, bytes, caseLink, choice, el, link, plural, quantity, round, seconds, show, table } from "./dom.js";
import { hopLine } from "./hopline.js";
import { migrationOverview } from "./migration_overview.js";

/**
 * @import { Limit, Spec } from "./chart.js"
 * @import { GridCell, MigrationEntry } from "./data.js"
 * @import { Told } from "./devices.js"
 * @import { Hop } from "./hopline.js"
 */

/** @typedef {(number | null)[]} Column */
/**
 * The hops of an attempt (matrix/report/migrations.py): those that are drawn, as columns.
 * @typedef {object} Hops
 * @property {Limits} limits
 * @property {Summary | null} summary
 * @property {number} total how many there were
 * @property {number} unusable lines that could not be read
 * @property {boolean} complete
 * @property {boolean} folded whether only the last hops and the worst were kept
 * @property {number[]} number
 * @property {number[]} good 1 or 0
 * @property {Column} downtime
 * @property {Column} stop_to_resume
 * @property {Column} blackout
 * @property {Column} total_time
 * @property {Column} transferred
 * @property {Column} passes
 * @property {Column} in_flight
 * @property {number[]} strategy numbers into words, as those that follow
 * @property {number[]} transport
 * @property {number[]} source
 * @property {number[]} destination
 * @property {number[]} outcome
 * @property {number[]} fault
 * @property {Record<Word, string[]>} words
 * @property {Hop[]} details
 */
/** @typedef {"downtime" | "stop_to_resume" | "blackout" | "total_time" | "transferred" | "passes" | "in_flight"} Quantity */
/** @typedef {"strategy" | "transport" | "source" | "destination" | "outcome" | "fault"} Word */
/** @typedef {Record<"downtime_p99" | "downtime_max" | "blackout_max" | "total_time", number | null>} Limits */
/**
 * @typedef {object} Summary
 * @property {number} hops
 * @property {number} completed
 * @property {number} as_expected
 * @property {number} bad
 * @property {number} seed
 * @property {number} seconds
 * @property {string[]} broken limits that did not hold
 * @property {Statistic[]} statistics
 * @property {Statistic[]} devices "DEVICE save" and "DEVICE load"
 * @property {string[]} untraced QEMUs that do not tell of devices
 */
/**
 * @typedef {{ name: string, unit: string, count: number, p50: number, max: number,
 *   min: number | null, p90: number | null, p99: number | null }} Statistic
 */

const FEW_HOPS = 40; // are drawn in small plots side by side

/**
 * @param {HTMLElement} section
 * @param {string} query
 */
export async function drawMigration(section, query) {
  const entries = index.migrations;
  const parameters = new URLSearchParams(query);
  const wanted = Number(parameters.get("entry") ?? 0);
  const entry = entries[wanted] ?? entries[0];
  /** @type {Hops} */
  const hops = (await unpack(`hops-${entry.chunk}`))[entry.place];
  /** @type {(entry: MigrationEntry) => string} */
  const name = ({ case: i, attempt, hops: count }) => `${index.id[i]}${attempt > 1 ? ` attempt ${attempt}` : ""} (${plural(count, "hop")})`;
  const other = entries[Number(parameters.get("with") ?? -1)];
  /** @type {Hops | null} */
  const beside = other ? (await unpack(`hops-${other.chunk}`))[other.place] : null;
  const detail = el("div", {});
  /** @type {(number: number | undefined) => void} */
  const pick = (number) => {
    const hop = hops.details.find((each) => each.number === number) ?? hops.details[0];
    if (hop) show(detail, hopPicker(hops, hop, pick), hopLine(hop));
  };
  show(section,
    el("h2", {}, "Migration"),
    entries.length > 1 ? migrationOverview(entries) : null,
    versionGrid(),
    el("h2", { id: "migration-hops", tabindex: "-1" }, "Hops of one case"),
    entries.length > 1 ? el("p", {}, choice("case", entries.map((each, place) => [String(place), name(each)]), String(entries.indexOf(entry)),
      (value) => { location.hash = `#migration?entry=${value}`; })) : null,
    el("p", { class: "reason" }, link(caseLink(entry.case), { class: "mono" }, index.id[entry.case]), " ", badge(verdictOf(entry.case)), " ", hopWords(hops)),
    statistics(hops),
    deviceSection(hops, beside),
    hops.summary?.devices.length && entries.some((each) => each !== entry && each.devices) ? el("p", {}, choice("compare with", [["", "nothing"],
      ...entries.flatMap((each, place) => (each !== entry && each.devices ? [/** @type {[string, string]} */ ([String(place), name(each)])] : []))], String(entries.indexOf(other)),
    (value) => { location.hash = `#migration?entry=${entries.indexOf(entry)}${value && `&with=${value}`}`; })) : null,
    el("div", { class: hops.number.length > FEW_HOPS ? null : "multiples wide-ones" }, hopCharts(hops, pick)),
    hops.details.length ? el("h2", {}, "Time line of a hop") : null,
    detail);
  const first = hops.details.find((hop) => !hop.good) ?? worstHop(hops) ?? hops.details[0];
  pick(Number(parameters.get("hop") ?? first?.number));
}

/** @param {Hops} hops */
function worstHop(hops) {
  /** @type {(name: "blackout" | "downtime") => Hop | null} */
  const worst = (name) => hops.details.reduce((/** @type {Hop | null} */ best, hop) => ((hop[name] ?? -1) > (best?.[name] ?? -1) ? hop : best), null);
  return worst("blackout") ?? worst("downtime");
}

/** @param {Hops} hops */
function hopWords(hops) {
  const parts = [];
  const summary = hops.summary;
  if (summary) parts.push(`${plural(summary.hops, "hop")} in ${seconds(summary.seconds)}: ${summary.completed} completed, ${summary.as_expected} with a fault ended as they must, ${summary.bad} did not. Seed ${summary.seed}.`);
  if (hops.number.length < hops.total) parts.push(`${hops.number.length.toLocaleString("en")} of ${hops.total.toLocaleString("en")} hops are drawn: of every stretch those with the extremes, and those that are not good.`);
  if (hops.unusable) parts.push(`${plural(hops.unusable, "line")} of hops.jsonl could not be read.`);
  if (hops.folded) parts.push("There were too many hops to keep: the last thousands and the worst are drawn; the table is of all.");
  if (!hops.complete) parts.push("The file is so large that its end was not read.");
  return parts.join(" ");
}

/** @param {Hops} hops */
function statistics(hops) {
  const summary = hops.summary;
  if (!summary) return null;
  const broken = summary.broken.length
    ? el("div", {}, el("p", {}, badge("fail"), " Limits that did not hold:"), el("ul", {}, summary.broken.map((words) => el("li", {}, words)))) : null;
  if (!summary.statistics.length) return broken;
  return el("div", {}, broken, table([["quantity", ""], ["hops", "number"], ["min", "number"], ["median", "number"], ["p90", "number"], ["p99", "number"], ["max", "number"]],
    summary.statistics.map(({ name, unit, count, min, p50, p90, p99, max }) => [name, count.toLocaleString("en"), ...[min, p50, p90, p99, max].map((value) => quantity(value, unit))])));
}

/**
 * Which device's state took how long, over all hops; beside those of another case, to compare them.
 * @param {Hops} hops
 * @param {Hops | null} beside
 */
function deviceSection(hops, beside) {
  const told = [hops, beside].flatMap((each) => (each?.summary?.devices.length ? [toldOf(each, each.summary.devices)] : []));
  const untraced = hops.summary?.untraced ?? [];
  if (!told.length && !untraced.length) return null;
  return el("div", {}, el("h3", {}, "The state of each device"),
    told.length ? [el("p", { class: "about" }, "How long it took to save and to load, while the guest stood still: medians over all hops."), deviceTimes(told)] : null,
    untraced.map((why) => el("p", { class: "reason" }, `Not told by device: ${why}.`)));
}

/**
 * @param {Hops} hops
 * @param {Statistic[]} told
 * @returns {Told}
 */
function toldOf(hops, told) {
  const [source, destination] = [hops.words.source, hops.words.destination].map((words) => (words.length === 1 ? words[0] : "several QEMUs"));
  return { source, destination, times: medianTimes(told) };
}

/**
 * @param {Hops} hops
 * @param {(number: number) => void} pick
 */
function hopCharts(hops, pick) {
  /** @type {Pick<Spec, "x" | "xLabel" | "whole" | "xFormat" | "pick">} */
  const shared = { x: hops.number, xLabel: "hop", whole: true, xFormat: (value) => value.toLocaleString("en"), pick: (place) => pick(hops.number[place]) };
  const known = (/** @type {Quantity} */ name) => hops[name].some((value) => value !== null);
  /** @type {(name: string, value: number | null) => Limit[]} */
  const limit = (name, value) => (value === null ? [] : [{ name, value }]);
  const say = (/** @type {number} */ place) => {
    const word = (/** @type {Word} */ name) => hops.words[name][hops[name][place]];
    const fault = word("fault");
    return `Hop ${hops.number[place]} ${word("source")} → ${word("destination")}, ${word("strategy")} over ${word("transport")}${fault ? `, ${fault}` : ""}: ${word("outcome")}${hops.good[place] ? "" : ", not as it must"}`;
  };
  /** @type {Node[]} */
  const charts = [];
  /** @type {[name: string, field: Quantity][]} */
  const all = [["downtime", "downtime"], ["STOP → RESUME", "stop_to_resume"], ["guest's blackout", "blackout"]];
  const times = all.filter(([, name]) => known(name));
  if (times.length) {
    charts.push(chart({ ...shared, label: "How long the guest stood still", log: true, yFormat: seconds, height: 300,
      series: times.map(([name, field]) => ({ name, values: hops[field].map((value) => (value === null ? null : Math.max(value, 1e-4))) })),
      limits: [...limit("downtime p99", hops.limits.downtime_p99), ...limit("downtime", hops.limits.downtime_max), ...limit("blackout", hops.limits.blackout_max)],
      describe: (place) => `${say(place)}; ${times.map(([name, field]) => `${name} ${seconds(hops[field][place])}`).join(", ")}` }));
  }
  if (known("total_time")) {
    charts.push(chart({ ...shared, label: "Total time", log: "auto", yFormat: seconds, height: 190,
      series: [{ name: "total time", values: hops.total_time }], limits: limit("total time", hops.limits.total_time) }));
  }
  if (known("transferred")) {
    charts.push(chart({ ...shared, label: "Bytes sent", log: "auto", binary: true, yFormat: bytes, height: 190, series: [{ name: "sent", values: hops.transferred }] }));
  }
  if (known("passes")) {
    charts.push(chart({ ...shared, label: "Passes over the guest's memory", yFormat: (value) => round(value), height: 160, series: [{ name: "passes", values: hops.passes }] }));
  }
  if (known("in_flight")) {
    charts.push(chart({ ...shared, label: "Requests in flight as the guest stood still", yFormat: (value) => round(value), height: 160, series: [{ name: "requests", values: hops.in_flight }] }));
  }
  return charts;
}

/**
 * @param {Hops} hops
 * @param {Hop} hop
 * @param {(number: number) => void} pick
 */
function hopPicker(hops, hop, pick) {
  const label = (/** @type {Hop} */ each) => `${each.number}: ${each.outcome}${each.good ? "" : ", not as it must"}${each.fault ? `, ${each.fault}` : ""}, downtime ${seconds(each.downtime)}`;
  return el("p", {}, choice("hop", hops.details.map((each) => [String(each.number), label(each)]), String(hop.number), (value) => pick(Number(value))),
    el("small", {}, " The first hops, the worst ones and those that are not good have a time line; a click on a point shows it."));
}

// Source down, destination across, for each architecture and machine.
function versionGrid() {
  if (!index.grid.length) return null;
  /** @type {Map<string, GridCell[]>} */
  const groups = new Map();
  for (const cell of index.grid) {
    const key = `${cell.arch} ${cell.machine}`;
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  const about = el("p", { class: "about" }, "Hops between versions: those that ended as they must, of all; downtime as median / at most.");
  return el("div", {}, about, el("div", { class: "grids" }, [...groups].map(([name, cells]) => {
    const versions = [...new Set(cells.flatMap((cell) => [cell.source, cell.destination]))].sort(compare);
    return el("figure", { class: "versions" }, el("figcaption", { class: "mono" }, name),
      el("div", { class: "scroll" }, el("table", { class: "heat wordy" },
        el("thead", {}, el("tr", {}, el("th", {}, "from ↓ to →"), versions.map((version) => el("th", { scope: "col" }, version)))),
        el("tbody", {}, versions.map((source) => el("tr", {}, el("th", { scope: "row" }, source),
          versions.map((destination) => gridCell(cells.find((cell) => cell.source === source && cell.destination === destination)))))))));
  })));
}

/** @param {GridCell | undefined} cell */
function gridCell(cell) {
  if (!cell) return el("td", { class: "empty" });
  const verdict = cell.good === cell.hops ? "pass" : "fail";
  const entry = index.migrations.findIndex((each) => cell.cases.includes(each.case));
  return el("td", {}, link(entry < 0 ? caseLink(cell.cases[0]) : `#migration?entry=${entry}`, {
    class: `v-${verdict}`,
    title: `${cell.source} → ${cell.destination}: ${cell.good} of ${plural(cell.hops, "hop")} as they must; downtime median ${seconds(cell.median)}, at most ${seconds(cell.max)}`,
  }, `${GLYPHS[verdict]} ${cell.good}/${cell.hops}`, el("br"), el("small", {}, `${seconds(cell.median)} / ${seconds(cell.max)}`)));
}
