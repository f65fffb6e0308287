// The sampled time line of one hop: its phases, what was left to send, and every event.

import { chart } from "./chart.js";
import { deviceTimes, summed } from "./devices.js";
import { bytes, el, facts, plural, rate, seconds, table } from "./dom.js";

/** @import { Band } from "./chart.js" */

/**
 * One hop with its time line (matrix/report/migrations.py); null: nobody said.
 * @typedef {object} Hop
 * @property {number} number
 * @property {string} strategy
 * @property {string} transport
 * @property {string} source
 * @property {string} destination
 * @property {string} machine
 * @property {string} outcome
 * @property {boolean} good
 * @property {string | null} fault
 * @property {string} reason
 * @property {number} seconds
 * @property {number | null} total_time
 * @property {number | null} downtime
 * @property {number | null} stop_to_resume
 * @property {number | null} clock_bound
 * @property {number | null} blackout
 * @property {number | null} silence
 * @property {number | null} clock_jump
 * @property {number | null} transferred
 * @property {number | null} passes
 * @property {number | null} throttle
 * @property {number | null} requests that a guest's devices answered around it
 * @property {number | null} in_flight those that were not answered when it stood still
 * @property {[at: number, side: string, what: string][]} events
 * @property {Samples} samples
 * @property {[device: string, save: number | null, load: number | null][]} devices
 */
/**
 * @typedef {object} Samples
 * @property {number[]} at
 * @property {string[]} status
 * @property {number[]} remaining
 * @property {number[]} transferred
 * @property {number[]} passes
 * @property {(number | null)[]} dirty_rate
 * @property {(number | null)[]} throughput
 * @property {number[]} throttle
 */

/** @param {Hop} hop */
export function hopLine(hop) {
  const samples = hop.samples;
  const drawn = samples.at.length > 1;
  const end = Math.max(hop.seconds || 0, samples.at.at(-1) ?? 0, hop.events.at(-1)?.[0] ?? 0);
  const bands = phases(hop, end);
  const marks = hop.events.filter(([, , what]) => /^(STOP|RESUME)/.test(what))
    .map(([at, side, what]) => ({ at, name: `${what} of the ${side} at ${seconds(at)}`, kind: what.startsWith("STOP") ? "stop" : "resume", key: what.split(" ")[0] }));
  const shared = { x: samples.at, xLabel: "since the hop began", xFormat: seconds, bands, marks };
  return el("div", { class: "hop", tabindex: "-1" },
    el("h3", {}, `Hop ${hop.number.toLocaleString("en")} `, el("span", { class: `badge ${hop.good ? "v-pass" : "v-fail"}` }, hop.good ? "as it must" : "not as it must"), ` ${hop.outcome}`),
    hop.reason ? el("p", { class: "reason" }, hop.reason) : null,
    facts([["from", hop.source], ["to", hop.destination], ["machine", hop.machine], ["strategy", `${hop.strategy} over ${hop.transport}`],
      ["fault", hop.fault], ["downtime", optional(hop.downtime)], ["STOP → RESUME", optional(hop.stop_to_resume) + (hop.clock_bound === null ? "" : ` ± ${seconds(hop.clock_bound)}`)],
      ["guest's blackout", optional(hop.blackout)], ["silence on the console", optional(hop.silence)], ["total time", optional(hop.total_time)],
      ["clock jump", optional(hop.clock_jump)],
      ["sent", hop.transferred === null ? "" : `${bytes(hop.transferred)} in ${hop.passes ?? "?"} passes`],
      ["throttle", hop.throttle ? `${hop.throttle} %` : ""],
      ["requests in flight", hop.in_flight === null ? "" : `${hop.in_flight.toLocaleString("en")}${hop.requests === null ? "" : `, ${hop.requests.toLocaleString("en")} answered around it`}`]]),
    hop.devices.length ? el("details", { open: true }, el("summary", {}, el("b", {}, "The state of each device")),
      deviceTimes([{ source: hop.source, destination: hop.destination, times: summed(hop.devices) }])) : null,
    drawn ? chart({ ...shared, label: "Memory", yFormat: bytes, binary: true, height: 230,
      series: [{ name: "remaining", values: samples.remaining, line: true }, { name: "transferred", values: samples.transferred, line: true }],
      describe: (place) => `${seconds(samples.at[place])}: ${samples.status[place]}, ${bytes(samples.remaining[place])} remaining, ${bytes(samples.transferred[place])} sent, pass ${samples.passes[place]}` }) : null,
    drawn && [...samples.throughput, ...samples.dirty_rate].some((value) => value !== null) ? chart({ ...shared, label: "Rates", yFormat: (value) => `${bytes(value)}/s`, binary: true, height: 190,
      series: [{ name: "throughput", values: samples.throughput, line: true }, { name: "dirtied", values: samples.dirty_rate, line: true }],
      describe: (place) => `${seconds(samples.at[place])}: throughput ${rate(samples.throughput[place])}, dirtied ${rate(samples.dirty_rate[place])}, throttled by ${samples.throttle[place]} %` }) : null,
    hop.events.length ? el("details", { open: true }, el("summary", {}, el("b", {}, plural(hop.events.length, "event"))),
      table([["at", "number"], ["side", ""], ["what", "mono"]], hop.events.map(([at, side, what]) => [seconds(at), side, what]))) : null);
}

/** @param {number | null} value */
function optional(value) {
  return value === null || value === undefined ? "" : seconds(value);
}

/**
 * The phases as the source went through them: its MIGRATION events; else the samples' status.
 * @param {Hop} hop
 * @param {number} end in seconds
 * @returns {Band[]}
 */
function phases(hop, end) {
  /** @type {[at: number, name: string][]} */
  const changes = hop.events.filter(([, side, what]) => side === "source" && what.startsWith("MIGRATION "))
    .map(([at, , what]) => [at, what.slice("MIGRATION ".length)]);
  /** @type {[at: number, name: string][]} */
  const seen = changes.length ? changes : hop.samples.at.map((at, place) => [at, hop.samples.status[place]]);
  /** @type {Band[]} */
  const bands = [];
  for (const [at, name] of seen) {
    const last = bands.at(-1);
    if (last?.name === name) continue;
    if (last) last.to = at;
    bands.push({ name, from: at, to: end });
  }
  return bands;
}
