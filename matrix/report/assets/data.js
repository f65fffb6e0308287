// The page's data: compressed JSON in base64, unpacked when it is asked for.

/**
 * The cases in columns: what matrix/report/gather.py writes, and what loadIndex adds.
 * @typedef {object} Index
 * @property {string[]} verdicts worst first
 * @property {string[]} axes
 * @property {string[]} bare axes whose values speak for themselves
 * @property {Record<string, string>} titles of the axes
 * @property {Record<string, string[]>} words the values of each axis
 * @property {Record<string, number[]>} columns of each axis, numbers into its words
 * @property {Record<string, number[]>} groups of each axis that cases can be compared along: the number of each case's
 *   group, whose cases differ in nothing else; -1: there is nothing to compare it with
 * @property {string[]} reasons
 * @property {string[]} hosts
 * @property {number[][]} areas sets of areas, as numbers into area_names
 * @property {string[]} area_names
 * @property {string[]} links where each run's folder is; empty where that cannot be said
 * @property {string[]} id
 * @property {number[]} of_run
 * @property {number[]} verdict -1: no result
 * @property {number[]} seconds
 * @property {number[]} reason
 * @property {number[]} host
 * @property {number[]} area
 * @property {number[]} chunk in which a case's details are; -1: it has none
 * @property {number[]} place of the details in the chunk
 * @property {MigrationEntry[]} migrations
 * @property {GridCell[]} grid
 * @property {number} size how many cases there are
 * @property {Map<string, number>} numbers of the cases, by RUN/ID
 */
/**
 * One attempt that has hops (matrix/report/migrations.py).
 * @typedef {object} MigrationEntry
 * @property {number} case
 * @property {number} attempt
 * @property {number} hops
 * @property {number} bad hops that did not end as they must
 * @property {number} broken limits that did not hold
 * @property {Measure} downtime
 * @property {Measure} blackout
 * @property {Measure} total_time
 * @property {boolean} devices whether its hops tell how long each device's state took
 * @property {string[]} strategy those that its hops had
 * @property {string[]} transport
 * @property {number} chunk
 * @property {number} place
 */
/** @typedef {{ median: number | null, max: number | null, limit: number | null, hop: number | null }} Measure in seconds; hop: the worst */
/**
 * The hops between two versions.
 * @typedef {object} GridCell
 * @property {string} arch
 * @property {string} machine
 * @property {string} source
 * @property {string} destination
 * @property {number} hops
 * @property {number} good
 * @property {number | null} median downtime, in seconds
 * @property {number | null} max
 * @property {number[]} cases the first that have such hops
 */
/**
 * What a case left (matrix/report/case_rows.py).
 * @typedef {object} Details
 * @property {string} reason
 * @property {string} image
 * @property {string} arguments
 * @property {string[]} groups
 * @property {string} reused the case's folder in the run whose result this is, relative to its run's; else empty
 * @property {AttemptDetails[]} attempts
 * @property {number} left_out how many attempts more there were
 */
/**
 * @typedef {object} AttemptDetails
 * @property {number} number
 * @property {string} verdict
 * @property {string | null} observed what it came to by itself, where it is a known failure
 * @property {string} reason
 * @property {number} seconds
 * @property {string} accelerator
 * @property {string} why it ran under that
 * @property {string} host where it ran; empty for the machine that the run was started on
 * @property {string} assists
 * @property {[verdict: string, count: number][]} counts of its subtests
 * @property {[verdict: string, name: string, message: string][]} subtests
 * @property {number} more subtests that are not among them
 * @property {[name: string, value: number, unit: string][]} metrics
 * @property {string} artifacts its folder; empty where none can be linked to
 * @property {[name: string, size: number, head: string, tail: string, omitted: number][]} texts
 */

/** @type {Map<string, Promise<any>>} */
const unpacked = new Map();

/**
 * @param {string} id of the element that holds it
 * @returns {Promise<any>}
 */
export async function unpack(id) {
  if (!unpacked.has(id)) unpacked.set(id, unpackNow(document.getElementById(id)?.textContent ?? ""));
  return unpacked.get(id);
}

/**
 * @param {string} text
 * @returns {Promise<any>}
 */
async function unpackNow(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** @type {Index} */
export let index;
/** @type {string[] | null} */
let haystacks = null; // per case, what the search looks through

export async function loadIndex() {
  index = await unpack("data-index");
  index.size = index.id.length;
  index.numbers = new Map();
  for (let i = 0; i < index.size; i++) index.numbers.set(`${index.of_run[i]}/${index.id[i]}`, i);
}

export const BAD = new Set(["error", "crash", "stall", "timeout", "fail", "flaky"]);
/** @type {Record<string, string>} */
export const GLYPHS = {
  pass: "✓", fail: "✗", crash: "C", stall: "S", timeout: "T", error: "E", flaky: "~",
  xpass: "!", xfail: "x", skip: "–", unfinished: "?",
};

/** @param {string} axis */
export function axisName(axis) {
  return index.titles[axis] ?? axis;
}

/**
 * @param {number} i
 * @param {string} axis an axis or "reason"; of "host" where it ran, if the case does not name one
 */
export function axisValue(i, axis) {
  if (axis === "reason") return index.reasons[index.reason[i]];
  const value = index.words[axis][index.columns[axis][i]];
  return axis === "host" ? value || index.hosts[index.host[i]] : value;
}

/** @param {number} i */
export function verdictOf(i) {
  return index.verdicts[index.verdict[i]] ?? "unfinished";
}

/**
 * Verdicts from the worst to the best; what has no result is worse than what is known or skipped.
 * @param {number} i
 */
export function badness(i) {
  return index.verdict[i] < 0 ? BAD.size - 0.5 : index.verdict[i];
}

/** @param {number} i */
export function areasOf(i) {
  return index.areas[index.area[i]].map((number) => index.area_names[number]);
}

/**
 * The axes with several values among some cases.
 * @param {number[]} cases
 */
export function varyingAxes(cases) {
  return index.axes.filter((axis) => {
    const column = index.columns[axis];
    return cases.some((i) => column[i] !== column[cases[0]]);
  });
}

/**
 * The axes that tell a case's variant from others: those that speak for themselves, and the varying.
 * @param {Set<string>} varying
 */
export function rowAxes(varying) {
  return index.axes.filter((axis) => axis !== "test" && (index.bare.includes(axis) || varying.has(axis)));
}

/** @param {number} i */
export function haystack(i) {
  haystacks ??= new Array(index.size);
  haystacks[i] ??= [index.id[i], verdictOf(i), ...index.axes.map((axis) => axisValue(i, axis)),
    index.reasons[index.reason[i]], index.hosts[index.host[i]], ...areasOf(i)].join("\n").toLowerCase();
  return haystacks[i];
}

/**
 * A variant in one line: architecture and accelerator bare, other axes named.
 * @param {number} i
 * @param {string[]} axes
 */
export function variantWords(i, axes) {
  return axes
    .filter((axis) => axis !== "test" && axis !== "scenario" && axisValue(i, axis))
    .map((axis) => {
      const value = axisValue(i, axis);
      if (index.bare.includes(axis) || axis === "run") return value;
      return `${axisName(axis)} ${value}`;
    })
    .join(" ");
}

/**
 * @param {number} i
 * @returns {Promise<Details | null>}
 */
export async function detailsOf(i) {
  if (index.chunk[i] < 0) return null;
  return (await unpack(`case-${index.chunk[i]}`))[index.place[i]];
}

const collator = new Intl.Collator("en", { numeric: true });

/**
 * For sorting: numbers by size, words as people count.
 * @param {number | string} a
 * @param {number | string} b
 * @returns {number}
 */
export function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(String(a), String(b));
}
