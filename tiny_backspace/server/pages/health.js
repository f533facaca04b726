// How well runs go: the health report.

import { byId, counted, facts, fill, given, make, money, size, took } from "/page/dom.js";
import { json, pause } from "/page/client.js";

const EVERY = 30_000; // milliseconds

export async function show(signal) {
  let soon = () => {};
  byId("hours").addEventListener("input", () => soon(), { signal });
  while (!signal.aborted) {
    if (!document.hidden) draw(await json(`/health?hours=${byId("hours").value}`, { signal }));
    await Promise.race([pause(EVERY, signal), new Promise((resolve) => { soon = resolve; })]);
  }
}

byId("hours-form").addEventListener("submit", (event) => event.preventDefault());

function draw(told) {
  const meter = given(make("meter", String(told.score)), { min: 0, max: 100, low: 60, high: 85, optimum: 100, value: told.score, "aria-label": "Score" });
  const failed = Object.entries(told.errors).map(([kind, number]) => `${kind} ${number}`).join(", ");
  fill(byId("report"),
    given(make("p.score", make("strong", String(told.score)), " of 100 ", make("span.hint", told.verdict)), { role: "status" }), meter,
    told.problem ? make("p.notice.bad", told.problem) : null,
    told.deductions.length ? make("ul.deductions", told.deductions.map((each) => make("li", make("strong", `−${each.points}`), " ", each.advice))) : null,
    facts([
      ["Runs", String(told.runs)], ["Succeeded", String(told.succeeded)], ["Failed", failed || "0"], ["Crashed", String(told.crashed)],
      ["Running", String(told.running)], ["With a replaced agent", String(told.fallbacks)], ["Cost", money(told.cost_usd)],
      ["An answer takes", took(told.response_ms)], ["Disk", told.disk_free === null ? "" : `${size(told.disk_used)} used, ${size(told.disk_free)} free`],
    ]),
    table("Agents", ["Agent", "Answers", "Failures", "Replaced", "Success"], told.providers.map((each) => [
      each.name, each.answers, each.failures, each.replaced, `${Math.round(each.success * 100)} %`])),
    table("What takes time", ["Operation", "Done", "Failed", "Half within", "95 % within"], told.operations.map((each) => [
      each.name, each.count, each.failed, took(each.p50), took(each.p95)])),
    told.left_out ? make("p.hint", `Only the newest ${counted(100_000, "duration")} were looked at.`) : null);
}

function table(title, heads, rows) {
  if (!rows.length) return null;
  const cells = (row) => make("tr", row.map((each, n) => given(make("td", String(each)), { "data-label": heads[n] })));
  return make("div", make("h2", title), make("table", make("thead", make("tr", heads.map((each) => given(make("th", each), { scope: "col" })))), make("tbody", rows.map(cells))));
}
