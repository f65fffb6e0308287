// A table of which only the rows in sight exist, so that 100,000 of them scroll like ten.

import { button, el } from "./dom.js";

/** @import { Child } from "./dom.js" */

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {string} width as in grid-template-columns
 * @property {string} [kind] its class
 * @property {(i: number) => Child} cell
 * @property {(i: number) => number | string} key by which it is sorted
 */
/** @typedef {{ name: string, down: boolean, by: (name: string) => void }} Sort */

const ROW_HEIGHT = 30;
const SPARE_ROWS = 8;

export class VirtualTable {
  /**
   * @param {string} label
   * @param {(i: number) => void} open on Enter or click
   */
  constructor(label, open) {
    /** @type {number[]} */
    this.items = [];
    /** @type {Column[]} */
    this.columns = [];
    this.active = 0;
    this.first = 0;
    this.last = 0;
    this.open = open;
    this.head = el("div", { class: "vhead", role: "row" });
    this.body = el("div", { class: "vbody" });
    this.scroller = el("div", {
      class: "vscroll", role: "grid", tabindex: "0", "aria-label": label,
      onscroll: () => this.draw(), onkeydown: (event) => this.key(event),
    }, this.head, this.body);
    new ResizeObserver(() => this.draw()).observe(this.scroller);
  }

  /**
   * @param {Column[]} columns
   * @param {number[]} items
   * @param {Sort} sort
   */
  show(columns, items, sort) {
    this.columns = columns;
    this.items = items;
    this.active = Math.min(this.active, Math.max(0, items.length - 1));
    const template = columns.map((column) => column.width).join(" ");
    this.scroller.style.setProperty("--columns", template);
    this.scroller.setAttribute("aria-rowcount", String(items.length + 1));
    this.head.replaceChildren(...columns.map((column) => el("span", {
      role: "columnheader", class: column.kind === "number" ? "number" : null,
      "aria-sort": sort.name === column.name ? (sort.down ? "descending" : "ascending") : "none",
    }, button(column.name, () => sort.by(column.name), { class: "plain" }))));
    this.body.style.height = `${items.length * ROW_HEIGHT}px`;
    this.draw(true);
  }

  draw(anew = false) {
    if (this.scroller.clientHeight === 0) return;
    const top = Math.max(0, this.scroller.scrollTop - this.head.offsetHeight);
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - SPARE_ROWS);
    const shown = Math.ceil(this.scroller.clientHeight / ROW_HEIGHT) + 2 * SPARE_ROWS;
    const last = Math.min(this.items.length, first + shown);
    if (!anew && first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const rows = [];
    for (let place = first; place < last; place++) rows.push(this.row(place));
    this.body.replaceChildren(...rows);
  }

  /** @param {number} place */
  row(place) {
    const i = this.items[place];
    const row = el("div", {
      class: "vrow", role: "row", "aria-rowindex": place + 2, "aria-selected": place === this.active,
      onclick: (event) => { if (!/** @type {Element} */ (event.target).closest("a")) this.open(i); },
    }, this.columns.map((column) => el("span", { role: "gridcell", class: column.kind }, column.cell(i))));
    row.style.top = `${place * ROW_HEIGHT}px`;
    return row;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 2);
    /** @type {Record<string, number>} */
    const steps = {
      ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page,
      Home: -this.items.length, End: this.items.length,
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && event.target === this.scroller && this.items.length) {
      this.open(this.items[this.active]);
    } else if (event.key in steps && event.target === this.scroller) {
      this.move(this.active + steps[event.key]);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} place */
  move(place) {
    this.active = Math.max(0, Math.min(this.items.length - 1, place));
    const top = this.active * ROW_HEIGHT;
    const room = this.scroller.clientHeight - this.head.offsetHeight - ROW_HEIGHT;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
    this.draw(true);
  }
}
