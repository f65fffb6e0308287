// Which view is shown: the address says so, as #VIEW?FILTER or #case=RUN/ID.

import { drawCase } from "./case.js";
import { casesView, drawCases } from "./cases.js";
import { drawComparison } from "./comparison.js";
import { loadIndex } from "./data.js";
import { Filter } from "./filter.js";
import { drawHistory } from "./history.js";
import { drawMatrix } from "./matrix.js";
import { drawMeasurements } from "./measurements.js";
import { drawMigration } from "./migration.js";
import { dressSummary } from "./summary.js";

/** @type {Record<string, (section: HTMLElement, query: string) => void | Promise<void>>} */
const VIEWS = {
  matrix: drawMatrix, cases: drawCases, comparison: drawComparison, migration: drawMigration,
  measurements: drawMeasurements, history: drawHistory,
};
const shown = { view: "", scrolls: new Map() };

async function route() {
  const hash = location.hash.slice(1);
  const [head, query] = split(hash, "?");
  const isCase = hash.startsWith("case=");
  const view = isCase ? "case" : head.startsWith("kvm") ? "kvm" : has(head) ? head : "summary";
  const section = all(`[data-view="${view}"]`)[0];
  shown.scrolls.set(shown.view, window.scrollY);
  if (isCase) await drawCase(section, hash.slice("case=".length));
  else if (has(view)) await VIEWS[view](section, query);
  for (const each of all("[data-view]")) each.hidden = each !== section;
  for (const tab of all("[data-tab]")) {
    if (tab.dataset.tab === (isCase ? "cases" : view)) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (view === "cases") casesView?.show(new Filter(query)); // now that it has a size
  const place = head.startsWith("kvm-") ? head : head === "migration" && query.startsWith("entry=") ? "migration-hops" : "";
  if (shown.view !== view || isCase || place) {
    const target = document.getElementById(place);
    if (target) target.scrollIntoView();
    else window.scrollTo(0, isCase ? 0 : shown.scrolls.get(view) ?? 0);
  }
  shown.view = view;
  document.documentElement.dataset.ready = view;
}

/**
 * Whether the page has a view that is drawn: only those that there is something to see in have a tab.
 * @param {string} view what an address says, which anybody may have typed
 */
function has(view) {
  return Object.hasOwn(VIEWS, view) && all(`[data-tab="${view}"]`).length > 0;
}

/**
 * @param {string} selector
 * @returns {NodeListOf<HTMLElement>}
 */
function all(selector) {
  return document.querySelectorAll(selector);
}

/**
 * @param {string} text
 * @param {string} separator
 */
function split(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {KeyboardEvent} event */
function keyPressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) target.blur();
    else if (shown.view === "case") history.back();
    else return;
  } else if (typing) {
    return;
  } else if (event.key === "/") {
    const search = shown.view === "case" ? all("#case input")[0] : undefined;
    if (search) search.focus();
    else if (shown.view === "cases") casesView?.focus();
    else {
      location.hash = "#cases";
      addEventListener("hashchange", () => setTimeout(() => casesView?.focus()), { once: true });
    }
  } else if (shown.view === "case" && (event.key === "j" || event.key === "k")) {
    all(`#case [data-key="${event.key}"]`)[0]?.click();
  } else if (shown.view === "cases" && (event.key === "j" || event.key === "k" || event.key === "ArrowDown")) {
    all("#cases .vscroll")[0].focus();
  } else {
    return;
  }
  event.preventDefault();
}

const ON_PAPER = ["summary", "matrix"]; // of these and of the table of cases, of which only the rows in sight exist

/** @param {boolean} printed */
async function printing(printed) {
  if (![...ON_PAPER, "cases"].includes(shown.view)) return; // another view prints itself
  if (printed) drawMatrix(all('[data-view="matrix"]')[0], "");
  else if (shown.view === "matrix") await route();
  for (const each of all("[data-view]")) each.hidden = printed ? !ON_PAPER.includes(each.dataset.view ?? "") : each.dataset.view !== shown.view;
}

document.documentElement.classList.add("with-scripts");
dressSummary();
await loadIndex();
addEventListener("hashchange", route);
addEventListener("keydown", keyPressed);
addEventListener("beforeprint", () => printing(true));
addEventListener("afterprint", () => printing(false));
await route();
