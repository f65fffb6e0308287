// One case: subtests, reason, console with search, QEMU's stderr, the command, the diagnosis.

import { casesAround } from "./cases.js";
import { areasOf, axisName, detailsOf, index, axisValue, verdictOf } from "./data.js";
import { badge, button, bytes, caseLink, copyButton, el, facts, link, plural, quantity, seconds, show, table } from "./dom.js";
import { Filter } from "./filter.js";

/** @import { AttemptDetails, Details } from "./data.js" */

/** @typedef {{ name: string, size: number, head: string, tail: string, omitted: number }} TextFile */

// What tells most of a host's kernel and of a hung guest.
const FIRST = ["kernel-trace.txt", "stack.txt", "registers.txt"].map((name) => `diagnosis/${name}`);
const SUBTESTS_AT_ONCE = 200;

/**
 * @param {HTMLElement} section
 * @param {string} key RUN/ID, as in an address
 */
export async function drawCase(section, key) {
  const name = decoded(key);
  const i = index.numbers.get(name);
  if (i === undefined) {
    show(section, el("h2", {}, "No such case"), el("p", {}, `This report has no case ${name}.`));
    return;
  }
  const details = await detailsOf(i);
  const axes = index.axes.filter((axis) => index.words[axis][index.columns[axis][i]] && (axis !== "run" || index.words.run.length > 1));
  show(section,
    caseNavigation(i),
    el("h2", { class: "mono wrap" }, badge(verdictOf(i)), ` ${index.id[i]}`),
    el("p", { class: "reason" }, details?.reason || index.reasons[index.reason[i]]),
    facts(axes.map((axis) => [axisName(axis), link(`#cases?${new Filter().with({ [axis]: axisValue(i, axis) }).query()}`, { class: "plain" }, axisValue(i, axis))]),
      ["areas", areasOf(i).join(", ")],
      ["time", index.seconds[i] ? seconds(index.seconds[i]) : ""],
      ["reused from", details?.reused ? originLink(i, details.reused) : ""],
      ["image", details?.image], ["arguments", details?.arguments], ["groups", details?.groups.join(", ")]),
    hopsLink(i),
    ...(details ? caseDetails(i, details) : [el("p", {}, "The page had no room for what this case left; its files are in the run's folder.")]));
}

/**
 * @param {number} i
 * @param {string} path relative to the run's folder
 */
function originLink(i, path) {
  const base = index.links[index.of_run[i]];
  return base && !path.startsWith("/") ? link(`${base}/${path.split("/").map(encodeURIComponent).join("/")}`, {}, path) : path;
}

/** @param {number} i */
function hopsLink(i) {
  const entry = index.migrations.findIndex((each) => each.case === i);
  return entry < 0 ? null : el("p", {}, link(`#migration?entry=${entry}`, {}, plural(index.migrations[entry].hops, "hop")), ", each with its downtime and what it came to.");
}

/**
 * What an address says, which anybody may have typed.
 * @param {string} text
 */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {number} i */
function caseNavigation(i) {
  const listed = casesAround(i);
  const place = listed.indexOf(i);
  /** @type {(other: number | undefined, label: string, key: string) => Node} */
  const to = (other, label, key) => (other === undefined ? el("span", { class: "faint" }, label)
    : link(caseLink(other), { "data-key": key }, label));
  return el("p", { class: "steps" },
    to(listed[place - 1], "← previous", "k"), ` ${(place + 1).toLocaleString("en")} of ${listed.length.toLocaleString("en")} `,
    to(listed[place + 1], "next →", "j"));
}

/**
 * @param {number} i
 * @param {Details} details
 */
function caseDetails(i, details) {
  const several = details.attempts.length > 1;
  const parts = details.attempts.map((attempt, place) => {
    const open = !several || place === details.attempts.findIndex((each) => each.verdict === worstOf(details));
    if (!several) return el("div", {}, attemptParts(i, attempt));
    const body = el("div", {});
    const fillBody = () => { if (!body.firstChild) body.append(...attemptParts(i, attempt)); };
    if (open) fillBody();
    return el("details", { class: "attempt", open, ontoggle: fillBody },
      el("summary", {}, `Attempt ${attempt.number} `, badge(attempt.verdict), ` ${seconds(attempt.seconds)} `, el("small", {}, attempt.reason)), body);
  });
  if (details.left_out) parts.push(el("p", {}, `… and ${plural(details.left_out, "more attempt")}`));
  return parts;
}

/** @param {Details} details */
function worstOf(details) {
  return index.verdicts.find((verdict) => details.attempts.some((each) => each.verdict === verdict));
}

/**
 * @param {number} i
 * @param {AttemptDetails} attempt
 */
function attemptParts(i, attempt) {
  /** @type {Map<string, TextFile>} */
  const files = new Map(attempt.texts.map(([name, size, head, tail, omitted]) => [name, { name, size, head, tail, omitted }]));
  /** @type {Node[]} */
  const parts = [];
  const on = attempt.host ? ` on ${attempt.host}` : "";
  if (attempt.accelerator) parts.push(el("p", { class: "about" }, `Ran under ${attempt.accelerator}${on}: ${attempt.why || "no reason was given"}.`));
  if (attempt.assists) parts.push(el("p", { class: "about" }, `Done to its guest so that QEMU works faster: ${attempt.assists}. --no-assist leaves it alone.`));
  if (attempt.observed) parts.push(el("p", { class: "about" }, `By itself it was `, badge(attempt.observed), ", which is a known failure."));
  parts.push(...subtestParts(attempt));
  /** @type {(name: string, heading: string, open: boolean) => void} */
  const showFile = (name, heading, open) => {
    const file = files.get(name);
    files.delete(name);
    if (file && (file.size || name === "console.log")) parts.push(textBox(i, attempt, file, heading, open));
  };
  showFile("console.log", "Console", true);
  showFile("qemu.log", "QEMU's stderr", true);
  const command = files.get("command.sh");
  if (command) {
    files.delete("command.sh");
    parts.push(el("h3", {}, "Run it by hand ", copyButton(command.head), fileLink(i, attempt, "command.sh")),
      el("pre", { class: "box", tabindex: "0" }, command.head));
  }
  for (const name of [...files.keys()].sort((a, b) => Number(FIRST.includes(b)) - Number(FIRST.includes(a)))) {
    showFile(name, name.replace("diagnosis/", "Diagnosis: "), FIRST.includes(name));
  }
  if (attempt.metrics.length) {
    parts.push(el("h3", {}, "Measurements"), table([["name", "mono"], ["value", "number"]],
      attempt.metrics.map(([name, value, unit]) => [name, quantity(value, unit)])));
  }
  if (!attempt.texts.length && attempt.artifacts) {
    parts.push(el("p", {}, "There was no room for the console; it is in ", fileLink(i, attempt, "console.log"), "."));
  }
  return parts;
}

/** @param {AttemptDetails} attempt */
function subtestParts(attempt) {
  const total = attempt.counts.reduce((sum, [, count]) => sum + count, 0);
  if (!total) return [];
  const body = el("tbody", {});
  const rows = attempt.subtests.map(([verdict, name, message]) => el("tr", {}, el("td", {}, badge(verdict)), el("td", { class: "mono" }, name), el("td", {}, message)));
  body.append(...rows.slice(0, SUBTESTS_AT_ONCE));
  const more = button(`show ${rows.length - SUBTESTS_AT_ONCE} more`, () => {
    body.append(...rows.slice(SUBTESTS_AT_ONCE));
    more.remove();
  });
  const bad = attempt.counts.some(([verdict]) => verdict !== "pass");
  const unseen = attempt.more > 0 ? el("p", { class: "about" }, `${plural(attempt.more, "subtest")} more in result.json.`) : null;
  return [el("details", { open: bad || total <= 30 },
    el("summary", {}, el("b", {}, plural(total, "subtest")), " ", attempt.counts.map(([verdict, count]) => [badge(verdict, count), " "])),
    el("div", { class: "scroll" }, el("table", {}, body)), rows.length > SUBTESTS_AT_ONCE ? more : null, unseen)];
}

/**
 * @param {number} i
 * @param {AttemptDetails} attempt
 * @param {string} name
 */
function fileLink(i, attempt, name) {
  const base = index.links[index.of_run[i]];
  if (!base || !attempt.artifacts) return null;
  const path = `${attempt.artifacts}/${name}`.split("/").map(encodeURIComponent).join("/");
  return link(`${base}/${path}`, { class: "file" }, name.split("/").at(-1));
}

/**
 * A file's text with a search in it: Enter goes on, Shift+Enter goes back.
 * @param {number} i
 * @param {AttemptDetails} attempt
 * @param {TextFile} file
 * @param {string} heading
 * @param {boolean} open
 */
function textBox(i, attempt, file, heading, open) {
  const box = el("pre", { class: "box", tabindex: "0" });
  const count = el("span", { class: "about", role: "status" });
  const search = el("input", { type: "search", placeholder: "search", "aria-label": `Search ${heading}`, spellcheck: "false", autocomplete: "off" });
  const gap = file.omitted ? `… ${bytes(file.omitted)} left out …` : "";
  /** @type {HTMLElement[]} */
  let marks = [];
  let at = -1;

  const draw = () => {
    marks = [];
    at = -1;
    box.replaceChildren(...pieces(file.head, search.value, marks), gap ? el("span", { class: "gap" }, gap) : "", ...pieces(file.tail, search.value, marks));
    count.textContent = search.value ? `${marks.length} found` : "";
    if (search.value) step(1);
  };
  const step = (/** @type {number} */ by) => {
    if (!marks.length) return;
    marks[at]?.classList.remove("current");
    at = (at + by + marks.length) % marks.length;
    marks[at].classList.add("current");
    box.scrollTop = marks[at].offsetTop - box.clientHeight / 2;
    count.textContent = `${at + 1} of ${marks.length}`;
  };
  search.addEventListener("input", draw);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      step(event.shiftKey ? -1 : 1);
      event.preventDefault();
    }
  });
  draw();
  const nothing = !file.size ? el("p", { class: "faint" }, "It said nothing.") : null;
  return el("details", { class: "text", open },
    el("summary", {}, el("b", {}, heading), el("small", {}, ` ${bytes(file.size)}`)),
    nothing ?? [el("p", { class: "tools" }, search, " ", count, " ", fileLink(i, attempt, file.name)), box]);
}

/**
 * @param {string} text
 * @param {string} wanted
 * @param {HTMLElement[]} marks those of what was found are added to it
 */
function pieces(text, wanted, marks) {
  if (!wanted) return [text];
  /** @type {(Node | string)[]} */
  const found = [];
  const folded = text.toLowerCase();
  const word = wanted.toLowerCase();
  // Folding may change a text's length (İ); then only the exact word is found.
  const [inside, needle] = folded.length === text.length ? [folded, word] : [text, wanted];
  let from = 0;
  for (let to = inside.indexOf(needle); to >= 0; to = inside.indexOf(needle, from)) {
    const mark = el("mark", {}, text.slice(to, to + needle.length));
    marks.push(mark);
    found.push(text.slice(from, to), mark);
    from = to + needle.length;
  }
  return [...found, text.slice(from)];
}
