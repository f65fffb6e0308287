// The table of cases, with its search.

import { axisName, BAD, badness, compare, index, rowAxes, axisValue, varyingAxes, verdictOf } from "./data.js";
import { badge, button, caseLink, choice, el, link, plural, seconds } from "./dom.js";
import { exactChips, Filter } from "./filter.js";
import { VirtualTable } from "./table.js";

/** @import { Column } from "./table.js" */

const MOST_CHOICES = 100;

/** @type {ReturnType<typeof makeCasesView> | null} */
export let casesView = null;
/** @type {number[]} */
let listed = []; // the cases last listed, in order

/**
 * Where "next" and "previous" of a case go: the list it was last in, else all that are as bad or good.
 * @param {number} i
 */
export function casesAround(i) {
  if (!listed.includes(i)) listed = new Filter(BAD.has(verdictOf(i)) ? "v=bad" : "").cases();
  return listed;
}

/**
 * @param {HTMLElement} section
 * @param {string} query
 */
export function drawCases(section, query) {
  casesView ??= makeCasesView(section);
  casesView.show(new Filter(query));
}

/** @param {HTMLElement} section */
function makeCasesView(section) {
  const search = el("input", {
    type: "search", id: "search", placeholder: "words, arch:aarch64, -timer, reason:\"no such\"",
    "aria-label": "Search cases", autocomplete: "off", spellcheck: "false",
  });
  const chips = el("div", { class: "chips" });
  const verdicts = el("div", { class: "chips", role: "group", "aria-label": "Verdicts" });
  const count = el("span", { role: "status" });
  const matrix = link("#matrix", {}, "as a matrix");
  const list = new VirtualTable("Cases", (i) => { location.hash = caseLink(i); });
  const problems = el("p", { class: "reason", role: "alert" });
  const sortBy = (/** @type {string} */ name) => {
    filter.sort = filter.sort === name ? `-${name}` : name;
    go();
  };
  let filter = new Filter();
  const selects = fieldChoices((field, value) => {
    filter = filter.with({ [field]: value });
    go();
  });
  section.replaceChildren(el("h2", {}, "Cases"), el("div", { class: "searching" }, search), problems, verdicts,
    el("div", { class: "chips" }, [...selects.values()]), chips,
    el("p", { class: "about" }, count, " · ", matrix), list.scroller);

  const go = () => {
    filter.text = search.value;
    history.replaceState(null, "", `#cases?${filter.query()}`);
    update();
  };
  search.addEventListener("input", go);
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      list.scroller.focus();
      event.preventDefault();
    }
  });

  function update() {
    const matching = filter.cases({ anyVerdict: true });
    const items = filter.verdicts.size ? matching.filter((i) => filter.verdicts.has(verdictOf(i))) : matching;
    const columns = caseColumns(items);
    const sort = { name: filter.sort.replace(/^-/, ""), down: filter.sort.startsWith("-"), by: sortBy };
    const column = columns.find((each) => each.name === sort.name);
    if (!column) items.sort((a, b) => badness(a) - badness(b));
    else items.sort((a, b) => (sort.down ? -1 : 1) * compare(column.key(a), column.key(b)));
    listed = items;
    list.show(columns, items, sort);
    count.textContent = `${plural(items.length, "case")}${items.length === index.size ? "" : ` of ${index.size.toLocaleString("en")}`}`;
    drawVerdicts(verdicts, matching, filter, () => {
      history.replaceState(null, "", `#cases?${filter.query()}`);
      update();
    });
    chips.replaceChildren(...exactChips(filter, "cases"));
    problems.textContent = filter.problems();
    for (const [field, label] of selects) {
      const values = filter.exact.get(field);
      const select = label.querySelector("select");
      if (select) select.value = values?.length === 1 ? `=${values[0]}` : "";
    }
    matrix.href = `#matrix?${filter.query()}`;
  }

  return {
    show(/** @type {Filter} */ wanted) {
      filter = wanted;
      if (search.value !== filter.text) search.value = filter.text;
      update();
    },
    focus: () => search.focus(),
  };
}

/**
 * A choice for each field with a few values; the value "" is any.
 * @param {(field: string, value: string | null) => void} changed
 */
function fieldChoices(changed) {
  const areas = [...new Set(index.areas.flat())].sort((a, b) => a - b).map((number) => index.area_names[number]);
  /** @type {[field: string, values: string[]][]} */
  const fields = [...index.axes.filter((axis) => axis !== "test" && axis !== "host").map((axis) => /** @type {[string, string[]]} */ ([axis, index.words[axis]])),
    ["area", areas], ["host", [...new Set([...index.words.host, ...index.hosts])].filter(Boolean)]];
  return new Map(fields.filter(([, values]) => values.length > 1 && values.length <= MOST_CHOICES).map(([field, values]) => [field,
    choice(axisName(field), [["", "any"], ...values.map((value) => /** @type {[string, string]} */ ([`=${value}`, value || "none"]))], "",
      (value) => changed(field, value ? value.slice(1) : null))]));
}

/**
 * @param {HTMLElement} place
 * @param {number[]} matching
 * @param {Filter} filter
 * @param {() => void} changed
 */
function drawVerdicts(place, matching, filter, changed) {
  const counts = new Map();
  for (const i of matching) counts.set(verdictOf(i), (counts.get(verdictOf(i)) ?? 0) + 1);
  const shown = [...index.verdicts, "unfinished"].filter((each) => counts.has(each) || filter.verdicts.has(each));
  place.classList.toggle("chosen", filter.verdicts.size > 0);
  place.replaceChildren(...shown.map((verdict) => button(
    `${verdict} ${(counts.get(verdict) ?? 0).toLocaleString("en")}`,
    () => {
      if (!filter.verdicts.delete(verdict)) filter.verdicts.add(verdict);
      changed();
    },
    { class: `chip badge v-${verdict}`, "aria-pressed": String(filter.verdicts.has(verdict)) })));
}

/**
 * @param {number[]} items
 * @returns {Column[]}
 */
function caseColumns(items) {
  const varying = new Set(varyingAxes(items.length ? items : [0]));
  const axes = rowAxes(varying);
  /** @type {(name: string, axis: string, width: string) => Column} */
  const plain = (name, axis, width) => ({ name, width, kind: "mono", cell: (i) => axisValue(i, axis), key: (i) => axisValue(i, axis) });
  return [
    { name: "verdict", width: "5.5rem", cell: (i) => badge(verdictOf(i)), key: (i) => index.verdict[i] },
    { name: "test", width: "minmax(7rem, 1fr)", kind: "mono", key: (i) => axisValue(i, "test"),
      cell: (i) => link(caseLink(i), { class: "plain", tabindex: "-1" }, axisValue(i, "test")) },
    ...axes.map((axis) => plain(axisName(axis), axis, axisWidth(axis))),
    { name: "time", width: "4.5rem", kind: "number", cell: (i) => (index.seconds[i] ? seconds(index.seconds[i]) : ""), key: (i) => index.seconds[i] },
    { name: "reason", width: "minmax(6rem, 2fr)", cell: (i) => index.reasons[index.reason[i]], key: (i) => index.reasons[index.reason[i]] },
  ];
}

/** @param {string} axis */
function axisWidth(axis) {
  const longest = Math.max(axisName(axis).length, ...index.words[axis].slice(0, 1000).map((value) => value.length));
  return `${(Math.min(longest, 20) * 0.56 + 0.4).toFixed(1)}rem`;
}
