// The list of runs, looked at again every few seconds while somebody looks at it.

import { badge, byId, counted, fill, given, make, money, runLink, time, took } from "/page/dom.js";
import { json, pause } from "/page/client.js";

const EVERY = 5000; // milliseconds
const PAGE = 25;
let limit = PAGE;

export async function show(signal) {
  limit = PAGE;
  const again = async () => {
    const query = new URLSearchParams({ limit: String(limit) });
    const repo = byId("filter-repo").value.trim();
    const status = byId("filter-status").value;
    if (repo) query.set("repo", repo);
    if (status) query.set("status", status);
    const { runs } = await json(`/runs?${query}`, { signal });
    if (table(byId("runs"), runs)) fill(byId("history-count"), runs.length ? `${counted(runs.length, "run")}, the newest first.` : "No such run.");
    byId("more").hidden = runs.length < limit || limit >= 1000;
  };
  await keep(again, signal, [byId("filter-repo"), byId("filter-status"), byId("more")]);
}

export async function lately(signal) {
  await keep(async () => {
    const { runs } = await json("/runs?limit=5", { signal });
    table(byId("lately"), runs);
  }, signal, []);
}

byId("more").addEventListener("click", () => {
  limit = Math.min(limit + 4 * PAGE, 1000);
});
byId("filter").addEventListener("submit", (event) => event.preventDefault());

// Now, every few seconds while the page is visible, and when one of these is used.
async function keep(again, signal, controls) {
  let soon = () => {};
  for (const control of controls) {
    for (const kind of ["input", "click"]) control.addEventListener(kind, () => soon(), { signal });
  }
  while (!signal.aborted) {
    if (!document.hidden) await again();
    await Promise.race([pause(EVERY, signal), new Promise((resolve) => { soon = resolve; })]);
  }
}

// Drawn only when it is another one; whether it was. Who was on a link stays on it.
function table(where, runs) {
  const told = JSON.stringify(runs);
  if (where.told === told) return false;
  where.told = told;
  const on = where.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  if (!runs.length) {
    fill(where, make("p.hint", "Nothing yet."));
    return true;
  }
  const heads = ["Result", "Run", "Agent", "Cost", "Took", "Started"].map((each) => given(make("th", each), { scope: "col" }));
  fill(where, make("table", make("thead", make("tr", heads)), make("tbody", runs.map(row))));
  if (on) [...where.querySelectorAll("a")].find((each) => each.getAttribute("href") === on)?.focus();
  return true;
}

function row(run) {
  const result = run.pr_url ? "pull request" : run.branch && run.status === "succeeded" ? "branch" : "";
  return make("tr",
    cell("Result", badge(run.status), result ? make("span.hint", result) : null),
    cell("Run", runLink(run), make("span.said", run.prompt ?? ""), run.problem ? make("span.hint", run.problem) : null),
    cell("Agent", run.provider ?? ""),
    cell("Cost", money(run.cost_usd)),
    cell("Took", took(run.duration_ms)),
    cell("Started", time(run.started_at)));
}

function cell(label, ...children) {
  return given(make("td", ...children), { "data-label": label });
}
