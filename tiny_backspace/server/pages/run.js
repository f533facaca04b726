// One run: where it is, what it cost, what happened; live while it goes on, the same when it is over.

import { badge, byId, count, counted, facts, fill, given, link, make, money, place, size, time, took } from "/page/dom.js";
import { ask, follow, json } from "/page/client.js";
import { entry } from "/page/entries.js";
import { advance, initial, STEPS } from "/page/fold.js";

const MOST = 2000; // entries that are shown, the newest; a page with more gets slow

export async function show(runId, signal) {
  const view = new View(runId, await json(`/runs/${encodeURIComponent(runId)}`, { signal }), signal);
  const clock = setInterval(() => view.tick(), 1000);
  signal.addEventListener("abort", () => clearInterval(clock));
  try {
    const left = await follow(runId, (records) => view.hear(records), (said) => view.connection(said), signal);
    view.end(left);
  } finally {
    clearInterval(clock);
  }
}

const isGoingOn = (status) => status === "queued" || status === "running";

// Whoever has scrolled up reads something, and is left there.
function atTheEnd() {
  return window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 80;
}

class View {
  constructor(runId, run, signal) {
    this.runId = runId;
    this.status = run.status;
    this.isLive = isGoingOn(run.status);
    this.signal = signal;
    this.state = { ...initial(), repo: run.repo ?? "", prompt: run.prompt ?? "" };
    this.calls = new Map();
    this.dropped = 0;
    this.build();
    if (document.activeElement === document.body) this.title.focus({ preventScroll: true });
    this.draw();
    this.say(run.status === "queued" ? "It waits for its turn." : "");
  }

  build() {
    this.title = given(make("h1"), { id: "run-title", tabindex: "-1" });
    this.prompt = make("p.prompt");
    this.badge = make("span");
    this.message = make("span");
    this.live = given(make("p.state", this.badge, this.message), { role: "status", id: "run-state" });
    this.line = given(make("p.notice"), { role: "status", id: "run-connection", hidden: "" });
    this.bar = given(make("progress"), { max: 100, "aria-label": "Progress" });
    this.steps = make("ol.steps");
    this.result = make("div.result");
    this.facts = make("div.facts");
    this.files = make("div");
    this.clock = make("span");
    this.cancel = given(make("button.danger", "End this run"), { type: "button", id: "cancel" });
    this.cancel.addEventListener("click", () => this.ended());
    this.earlier = given(make("p.hint"), { hidden: "" });
    this.list = given(make("ol.entries"), { id: "entries", "aria-label": "What happened" });
    const side = make("aside", this.facts, this.files, this.cancel);
    const feed = make("div.feed", make("h2", "What happens"), this.earlier, this.list);
    const top = make("div.top", this.live, this.line, this.bar);
    fill(byId("run"), this.title, this.prompt, top, this.steps, this.result, make("div.columns", feed, side));
  }

  hear(records) {
    const follows = this.isLive && atTheEnd();
    const nodes = [];
    for (const record of records) {
      advance(this.state, record);
      const node = entry(record, this.calls);
      if (node) nodes.push(node);
    }
    this.list.append(...nodes);
    while (this.list.childElementCount > MOST) {
      this.list.firstElementChild.remove();
      this.dropped += 1;
    }
    const { outcome } = this.state;
    this.status = outcome === null ? "running" : outcome.type === "success" ? "succeeded" : "failed";
    this.draw();
    this.say(this.state.message);
    if (follows) window.scrollTo(0, document.documentElement.scrollHeight);
  }

  // What the service says of it where no closing record came.
  end(run) {
    this.calls.clear();
    if (run === null || this.signal.aborted) return;
    this.status = run.status;
    this.draw();
    this.say(run.problem ?? (run.status === "crashed" ? "It ended without a word: its process was killed." : ""));
  }

  connection(said) {
    fill(this.line, said).hidden = !said;
  }

  // Once, and only where it changed: a screen reader reads it out.
  say(message) {
    const all = `${this.status} ${message}`;
    if (all === this.said) return;
    this.said = all;
    const now = badge(this.status);
    this.badge.replaceWith(now);
    this.badge = now;
    fill(this.message, message);
  }

  draw() {
    const { state } = this;
    const name = place(state.repo) || this.runId;
    fill(this.title, name);
    fill(this.prompt, state.prompt);
    document.title = `${name}: ${this.status} · Tiny Backspace`;
    this.bar.value = state.progress;
    this.bar.className = this.status;
    fill(this.steps, STEPS.map((each) => this.step(...each)));
    this.drawResult();
    this.drawFacts();
    this.cancel.hidden = !isGoingOn(this.status);
    this.earlier.hidden = !this.dropped;
    fill(this.earlier, `${counted(this.dropped, "earlier entry").replace("entrys", "entries")} left out here.`);
    this.tick();
  }

  step(id, name) {
    const { state } = this;
    const order = STEPS.map(([each]) => each);
    const at = order.indexOf(state.step);
    const mine = order.indexOf(id);
    const done = this.status === "succeeded" || mine < at;
    const present = mine === at && !done;
    const failed = present && ["failed", "crashed"].includes(this.status);
    const kind = done ? "done" : failed ? "bad" : present ? "now" : "ahead";
    const words = { done: "done", bad: "failed", now: "now", ahead: "to come" };
    const node = make(`li.${kind}`, name, make("span.unseen", `: ${words[kind]}`));
    return present ? given(node, { "aria-current": "step" }) : node;
  }

  drawResult() {
    const { outcome, saved, insertions, deletions, verified } = this.state;
    const parts = [];
    if (saved.pr_url) parts.push(["Pull request", link(saved.pr_url)]);
    if (saved.branch) parts.push(["Branch", make("code", saved.branch)]);
    if (outcome && saved.patch) parts.push(["Patch, on the server", make("code", saved.patch)]);
    if (insertions || deletions) parts.push(["Change", make("span", make("span.plus", `+${insertions}`), " ", make("span.minus", `−${deletions}`))]);
    if (verified) parts.push(["Verified", `${verified.command}: exit ${verified.exit_code}`]);
    if (outcome?.hint) parts.push(["What to do", outcome.hint]);
    this.result.hidden = !parts.length || !(outcome || saved.pr_url);
    this.result.className = `result ${this.status}`;
    fill(this.result, facts(parts));
  }

  drawFacts() {
    const { state } = this;
    const { outcome } = state;
    const base = state.branch ? `${state.branch}@${state.base.slice(0, 7)}` : state.base.slice(0, 12);
    fill(this.facts, facts([
      ["Cost", money(state.cost)],
      ["Time", this.clock],
      ["Agent", [state.provider, state.model].filter(Boolean).join(" ") || "no model yet"],
      ["Turn", state.turn ? String(state.turn) : ""],
      ["Tokens", state.tokensIn || state.tokensOut ? `${count(state.tokensIn)} in · ${count(state.tokensOut)} out` : ""],
      ["Tool calls", state.tools ? String(state.tools) : ""],
      ["Exit code", outcome ? String(outcome.exit_code) : ""],
      ["Replaced", state.replaced ? counted(state.replaced, "agent") : ""],
      ["Base", base],
      ["Sandbox", state.sandbox ? (state.sandbox.ok ? "locked down, no network" : "not locked down") : ""],
      ["Memory", state.resources?.memory ? size(state.resources.memory) : ""],
      ["Started", state.started ? time(state.started) : ""],
      ["Run", make("code", this.runId)],
    ]));
    const names = [...state.files].map(([path, how]) => make("li", make(`span.mark.${how}`, how), " ", path));
    fill(this.files, names.length ? make("h2", counted(names.length, "file")) : null, names.length ? make("ul.files", names) : null);
  }

  tick() {
    const { started, last, outcome } = this.state;
    const until = outcome || this.status !== "running" ? Date.parse(last) : Date.now();
    fill(this.clock, outcome ? took(outcome.duration_ms) : started ? took(Math.max(until - Date.parse(started), 0)) : "not begun");
  }

  async ended() {
    this.cancel.disabled = true;
    try {
      await ask(`/runs/${encodeURIComponent(this.runId)}/cancel`, { method: "POST" });
      this.connection("It is told to end.");
    } catch (error) {
      this.cancel.disabled = false;
      this.connection(error.message);
    }
  }
}
