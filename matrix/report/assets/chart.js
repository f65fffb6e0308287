// Charts as SVG: points or lines over a common axis, with limits, bands and marks drawn in.
// Series differ by shape as well as by colour; a table of what is under the cursor stands below.

import { el, svg } from "./dom.js";

/** @typedef {number | null | undefined} Value null and undefined: not measured */
/** @typedef {{ name: string, values: Value[], line?: boolean }} Series */
/** @typedef {{ name: string, value: number }} Limit */
/** @typedef {{ name: string, from: number, to: number }} Band */
/** @typedef {{ name: string, at: number, kind: string, key: string }} Mark */
/** @typedef {[low: number, high: number]} Range */
/** @typedef {(value: number) => number} Scale from a value to a place in the drawing */
/** @typedef {{ x: Scale, y: Scale, low: number, high: number, left: number, right: number }} Scales */
/** @typedef {Spec & { log?: boolean }} Drawn a chart of which the scale is known */
/**
 * What a chart shows, over x, which all series share.
 * @typedef {object} Spec
 * @property {string} label
 * @property {number[]} x
 * @property {string} xLabel
 * @property {(value: number) => string} xFormat
 * @property {(value: number) => string} yFormat
 * @property {Series[]} series
 * @property {boolean | "auto"} [log]
 * @property {boolean} [xLog]
 * @property {boolean} [binary] values are bytes
 * @property {boolean} [whole] x has whole numbers only
 * @property {number} [height]
 * @property {Limit[]} [limits]
 * @property {Band[]} [bands]
 * @property {Mark[]} [marks]
 * @property {(place: number) => string} [describe]
 * @property {(place: number) => void} [pick]
 */

const SHAPES = ["circle", "triangle", "square", "diamond"];
const DOTTED = 60; // up to so many points of a line are drawn as points too
const FEW = 6; // so few points need no wide plot
const MARGIN = { left: 68, right: 16, top: 18, bottom: 34 };

/** @param {Spec} given */
export function chart(given) {
  /** @type {Drawn} */
  const spec = { ...given, log: given.log === "auto" ? isWide(given) : given.log };
  const holder = el("div", { class: "plot" });
  const words = el("p", { class: "cursor", role: "status" });
  let cursor = -1;
  /** @type {Scales} */
  let scales;

  const point = (/** @type {number} */ place) => {
    cursor = Math.max(0, Math.min(spec.x.length - 1, place));
    const line = holder.querySelector(".at");
    line?.setAttribute("transform", `translate(${scales.x(spec.x[cursor])} 0)`);
    line?.removeAttribute("visibility");
    words.textContent = spec.describe ? spec.describe(cursor) : describePoint(spec, cursor);
  };
  const draw = () => {
    const width = Math.max(280, holder.clientWidth);
    const height = spec.height ?? 260;
    scales = chartScales(spec, width, height);
    holder.replaceChildren(drawChart(spec, scales, width, height));
    if (cursor >= 0) point(cursor);
  };
  const figure = el("figure", {
    class: spec.x.length > FEW ? "chart" : "chart few", tabindex: spec.x.length ? "0" : null, role: "group", "aria-label": spec.label,
    onkeydown: (event) => {
      /** @type {Record<string, number>} */
      const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -spec.x.length, End: spec.x.length };
      const step = steps[event.key];
      if (step) point(cursor + step);
      else if (event.key === "Enter" && spec.pick && cursor >= 0) spec.pick(cursor);
      else return;
      event.preventDefault();
    },
  }, el("figcaption", {}, spec.label, " ", chartLegend(spec)), holder, words);
  holder.addEventListener("pointermove", (event) => {
    const x = event.clientX - holder.getBoundingClientRect().left;
    if (spec.x.length) point(nearest(spec.x, (value) => Math.abs(scales.x(value) - x)));
  });
  holder.addEventListener("click", () => { if (spec.pick && cursor >= 0) spec.pick(cursor); });
  let width = 0;
  new ResizeObserver(() => {
    if (holder.clientWidth && holder.clientWidth !== width) {
      width = holder.clientWidth;
      draw();
    }
  }).observe(holder);
  return figure;
}

/**
 * @param {Value} value
 * @returns {value is number}
 */
function isNumber(value) {
  return Number.isFinite(value);
}

/**
 * Whether numbers differ so much that only a logarithmic scale shows them.
 * @param {Spec} spec
 */
function isWide(spec) {
  const positive = spec.series.flatMap((each) => each.values.filter(isNumber).filter((value) => value > 0));
  const [low, high] = extent(positive, [1, 1]);
  return high > 20 * low;
}

/**
 * @param {number[]} values
 * @param {(value: number) => number} distance
 */
function nearest(values, distance) {
  let best = 0;
  for (let place = 1; place < values.length; place++) {
    if (distance(values[place]) < distance(values[best])) best = place;
  }
  return best;
}

/**
 * @param {Drawn} spec
 * @param {number} place
 */
function describePoint(spec, place) {
  const parts = spec.series.flatMap(({ name, values }) => {
    const value = values[place];
    return value === null || value === undefined ? [] : [`${name} ${spec.yFormat(value)}`];
  });
  return `${spec.xFormat(spec.x[place])}: ${parts.join(", ") || "nothing was measured"}`;
}

/**
 * @param {Drawn} spec
 * @param {number} width
 * @param {number} height
 * @returns {Scales}
 */
function chartScales(spec, width, height) {
  const known = (/** @type {Value[]} */ values) => values.filter(isNumber).filter((value) => !spec.log || value > 0);
  const all = [...spec.series.flatMap((each) => known(each.values)), ...known((spec.limits ?? []).map((each) => each.value))];
  let [low, high] = extent(all, spec.log ? [1, 10] : [0, 1]);
  if (spec.log) {
    low = 10 ** Math.floor(Math.log10(low));
    high = 10 ** Math.ceil(Math.log10(high * 1.01));
  } else {
    low = Math.min(0, low);
    high = high + (high - low) * 0.06 || 1;
  }
  const bands = (spec.bands ?? []).flatMap((band) => [band.from, band.to]);
  let [left, right] = extent([...spec.x, ...bands].filter(Number.isFinite), [0, 1]);
  if (left === right) [left, right] = spec.xLog ? [left / 2, right * 2] : [left - 0.5, right + 0.5];
  const y = scale(spec.log, low, high, height - MARGIN.bottom, MARGIN.top);
  const x = scale(spec.xLog, left, right, MARGIN.left, width - MARGIN.right);
  return { x, y, low, high, left, right };
}

/**
 * The least and the greatest. Without spreading: a list may have 100,000 numbers.
 * @param {number[]} values
 * @param {Range} otherwise
 * @returns {Range}
 */
export function extent(values, otherwise) {
  if (!values.length) return otherwise;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}

/**
 * @param {boolean | undefined} log
 * @param {number} low
 * @param {number} high
 * @param {number} from
 * @param {number} to
 * @returns {Scale}
 */
export function scale(log, low, high, from, to) {
  /** @type {Scale} */
  const place = log ? Math.log10 : (value) => value;
  const [begin, length] = [place(low), place(high) - place(low) || 1];
  return (value) => from + ((place(log ? Math.max(value, low) : value) - begin) / length) * (to - from);
}

/**
 * Round numbers; in units of KiB, MiB, … where they are bytes.
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
function byteTicks(low, high, most) {
  const unit = 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(high, 1)) / 10));
  return ticks(low / unit, high / unit, false, most).map((value) => value * unit);
}

/**
 * @param {number} low
 * @param {number} high
 * @param {boolean | undefined} log
 * @param {number} most
 * @returns {number[]}
 */
export function ticks(low, high, log, most) {
  if (log) {
    const found = [];
    const every = Math.ceil(Math.log10(high / low) / most) || 1;
    for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power += every) found.push(10 ** power);
    return found;
  }
  const rough = (high - low) / most || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5].find((each) => unit * each >= rough) ?? 10);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Math.abs(value) < step * 1e-6 ? 0 : value);
  return found;
}

/**
 * @param {Drawn} spec
 * @param {Scales} scales
 * @param {number} width
 * @param {number} height
 */
function drawChart(spec, scales, width, height) {
  const { x, y } = scales;
  const [bottom, right] = [height - MARGIN.bottom, width - MARGIN.right];
  const parts = [];
  (spec.bands ?? []).forEach((band, place) => {
    const [from, to] = [x(band.from), x(band.to)];
    parts.push(svg("rect", { x: from, y: MARGIN.top, width: Math.max(0, to - from), height: bottom - MARGIN.top, class: `band band-${place % 2}` },
      svg("title", {}, band.name)));
    if (to - from > band.name.length * 6.2 + 6) parts.push(svg("text", { x: from + 4, y: MARGIN.top - 4, class: "band-name" }, band.name));
  });
  for (const value of spec.binary && !spec.log ? byteTicks(scales.low, scales.high, 5) : ticks(scales.low, scales.high, spec.log, 5)) {
    parts.push(svg("line", { x1: MARGIN.left, x2: right, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, spec.yFormat(value)));
  }
  for (const value of ticks(scales.left, scales.right, spec.xLog, Math.max(2, Math.floor(width / 130)))) {
    if (spec.whole && Math.abs(value - Math.round(value)) > 1e-6) continue;
    const words = spec.xFormat(value);
    const over = x(value) + words.length * 3.2 - (width - 2); // what would be cut off at the right
    parts.push(svg("line", { x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4, class: "axis" }),
      svg("text", { x: x(value) - Math.max(0, over), y: bottom + 17, "text-anchor": "middle" }, words));
  }
  parts.push(svg("line", { x1: MARGIN.left, x2: right, y1: bottom, y2: bottom, class: "axis" }),
    svg("text", { x: (MARGIN.left + right) / 2, y: height - 3, "text-anchor": "middle", class: "axis-name" }, spec.xLabel));
  for (const mark of spec.marks ?? []) {
    parts.push(svg("line", { x1: x(mark.at), x2: x(mark.at), y1: MARGIN.top, y2: bottom, class: `mark ${mark.kind}` }, svg("title", {}, mark.name)));
  }
  spec.series.forEach((series, place) => parts.push(drawSeries(spec, series, place, scales)));
  for (const limit of spec.limits ?? []) {
    parts.push(svg("line", { x1: MARGIN.left, x2: right, y1: y(limit.value), y2: y(limit.value), class: "limit" }),
      svg("text", { x: right - 4, y: y(limit.value) - 4, "text-anchor": "end", class: "limit-name" }, `limit: ${limit.name} ${spec.yFormat(limit.value)}`));
  }
  parts.push(svg("line", { class: "at", x1: 0, x2: 0, y1: MARGIN.top, y2: bottom, visibility: "hidden" }));
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": spec.label }, parts);
}

/**
 * @param {Drawn} spec
 * @param {Series} series
 * @param {number} place
 * @param {Scales} scales
 */
function drawSeries(spec, series, place, { x, y }) {
  /** @type {string[]} */
  const steps = [];
  let open = false;
  series.values.forEach((value, at) => {
    if (value === null || value === undefined || (spec.log && value <= 0 && series.line)) {
      open = false;
      return;
    }
    const [left, top] = [x(spec.x[at]).toFixed(1), y(value).toFixed(1)];
    if (series.line) steps.push(`${open ? "L" : "M"}${left} ${top}`);
    else steps.push(shapePath(SHAPES[place % SHAPES.length], Number(left), Number(top), series.values.length > 400 ? 2 : 3.2));
    open = true;
  });
  const path = svg("path", { d: steps.join(""), class: `series s${place} ${series.line ? "line" : "points"}` });
  if (!series.line || series.values.length > DOTTED) return path;
  const dots = series.values.map((value, at) => (value === null || value === undefined || (spec.log && value <= 0) ? ""
    : shapePath(SHAPES[place % SHAPES.length], x(spec.x[at]), y(value), 2.4)));
  return [path, svg("path", { d: dots.join(""), class: `series s${place} points` })];
}

/**
 * @param {string} shape
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
export function shapePath(shape, x, y, size) {
  switch (shape) {
    case "triangle": return `M${x} ${y - size * 1.2}l${size * 1.15} ${size * 2}h${-size * 2.3}z`;
    case "square": return `M${x - size} ${y - size}h${size * 2}v${size * 2}h${-size * 2}z`;
    case "diamond": return `M${x} ${y - size * 1.3}l${size * 1.3} ${size * 1.3}l${-size * 1.3} ${size * 1.3}l${-size * 1.3} ${-size * 1.3}z`;
    default: return `M${x - size} ${y}a${size} ${size} 0 1 0 ${size * 2} 0a${size} ${size} 0 1 0 ${-size * 2} 0z`;
  }
}

/** @param {Drawn} spec */
function chartLegend(spec) {
  return el("span", { class: "keys" }, spec.series.map((series, place) => el("span", { class: "key" },
    svg("svg", { width: 16, height: 12, "aria-hidden": "true" }, svg("path", {
      d: series.line ? "M0 6H16" : shapePath(SHAPES[place % SHAPES.length], 8, 6, 3.6),
      class: `series s${place} ${series.line ? "line" : "points"}`,
    })), ` ${series.name}`)),
    [...new Map((spec.marks ?? []).map((mark) => [mark.kind, mark.key])).entries()].map(([kind, name]) => el("span", { class: "key" },
      svg("svg", { width: 8, height: 12, "aria-hidden": "true" }, svg("line", { x1: 4, x2: 4, y1: 0, y2: 12, class: `mark ${kind}` })), ` ${name}`)));
}
