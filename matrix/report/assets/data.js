// The page's data: compressed JSON in base64, unpacked when it is asked for.

const unpacked = new Map();

export async function unpack(id) {
  if (!unpacked.has(id)) unpacked.set(id, unpackNow(document.getElementById(id).textContent));
  return unpacked.get(id);
}

async function unpackNow(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

export let index = null; // the cases, in columns: see matrix/report/gather.py
let haystacks = null; // per case, what the search looks through

export async function loadIndex() {
  index = await unpack("data-index");
  index.size = index.id.length;
  index.numbers = new Map();
  for (let i = 0; i < index.size; i++) index.numbers.set(`${index.of_run[i]}/${index.id[i]}`, i);
}

export const BAD = new Set(["error", "crash", "stall", "timeout", "fail", "flaky"]);
export const GLYPHS = {
  pass: "✓", fail: "✗", crash: "C", stall: "S", timeout: "T", error: "E", flaky: "~",
  xpass: "!", xfail: "x", skip: "–", unfinished: "?",
};

export function axisName(axis) {
  return index.titles[axis] ?? axis;
}

export function axisValue(i, axis) {
  if (axis === "reason") return index.reasons[index.reason[i]];
  return index.words[axis][index.columns[axis][i]];
}

export function verdictOf(i) {
  return index.verdicts[index.verdict[i]] ?? "unfinished";
}

export function areasOf(i) {
  return index.areas[index.area[i]].map((number) => index.area_names[number]);
}

// The axes with several values among some cases.
export function varyingAxes(cases) {
  return index.axes.filter((axis) => {
    const column = index.columns[axis];
    return cases.some((i) => column[i] !== column[cases[0]]);
  });
}

// The axes that tell a case's variant from others: those that speak for themselves, and the varying.
export function rowAxes(varying) {
  return index.axes.filter((axis) => axis !== "test" && (index.bare.includes(axis) || varying.has(axis)));
}

export function haystack(i) {
  haystacks ??= new Array(index.size);
  haystacks[i] ??= [index.id[i], verdictOf(i), ...index.axes.map((axis) => axisValue(i, axis)),
    index.reasons[index.reason[i]], ...areasOf(i)].join("\n").toLowerCase();
  return haystacks[i];
}

// A variant in one line: architecture and accelerator bare, other axes named.
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

export async function detailsOf(i) {
  if (index.chunk[i] < 0) return null;
  return (await unpack(`case-${index.chunk[i]}`))[index.place[i]];
}

const collator = new Intl.Collator("en", { numeric: true });

export function compare(a, b) {
  if (typeof a === "number") return a - b;
  return collator.compare(a, b);
}
