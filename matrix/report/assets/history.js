// The history: how the latest runs ended, what broke when, and where times and numbers go.

import { chart } from "./chart.js";
import { BAD, GLYPHS, index, unpack } from "./data.js";
import { caseLink, choice, el, link, plural, quantity, round, seconds, show, table } from "./dom.js";

export async function drawHistory(section, query) {
  const past = await unpack("data-past");
  const parameters = new URLSearchParams(query);
  const wanted = past.cases.find((each) => String(each.case) === parameters.get("case")) ?? defaultCase(past);
  show(section, el("h2", {}, "History"), runsChart(past), brokenNow(past), strips(past),
    el("h3", {}, "Trends"),
    el("p", {}, choice("case", past.cases.map((each) => [String(each.case), index.id[each.case]]), String(wanted.case),
      (value) => { location.hash = `#history?case=${value}`; })),
    trends(past, wanted));
}

function defaultCase(past) {
  return past.cases.find((each) => each.metrics.length) ?? past.cases[0];
}

function pastRunName(past, place) {
  return past.runs[place]?.started ?? "";
}

function runsChart(past) {
  const count = (run, test) => run.counts.filter(([verdict]) => test(verdict)).reduce((sum, [, number]) => sum + number, 0);
  return chart({
    label: "Cases that did not pass, run by run", x: past.runs.map((_, place) => place), xLabel: "run, oldest first", whole: true,
    xFormat: (place) => pastRunName(past, place).slice(5, 16), yFormat: (value) => round(value), height: 180,
    series: [{ name: "did not pass", values: past.runs.map((run) => count(run, (verdict) => BAD.has(verdict))), line: true }],
    describe: (place) => `${past.runs[place].started} on ${past.runs[place].host}: ${past.runs[place].counts.map(([verdict, number]) => `${number} ${verdict}`).join(", ")}`,
  });
}

function brokenNow(past) {
  const found = past.cases.filter((each) => each.broke);
  if (!found.length) return el("p", {}, past.all ? "No case is broken that was good before." : "");
  return el("div", {}, el("h3", {}, "Broken now, and good before"), table(
    [["case", "mono"], ["for", "number"], ["last good", ""], ["first bad", ""], ["what else changed then", ""]],
    found.slice(0, 200).map((each) => [link(caseLink(each.case), {}, index.id[each.case]), plural(each.broke.runs, "run"), each.broke.good, each.broke.bad,
      each.broke.changed.length ? each.broke.changed.map(([what, a, b]) => el("div", {}, `${what}: ${a || "none"} → ${b || "none"}`)) : "nothing that is known"])));
}

// A line of signs per case, one for each run; those that did anything but pass come first.
function strips(past) {
  const weight = (each) => each.verdicts.reduce((sum, verdict) => sum + (verdict !== null && BAD.has(index.verdicts[verdict])), 0);
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
