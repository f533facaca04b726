// What happens in a run, an entry for each thing that a reader may want to know of.

import { given, make, money, count, took } from "/page/dom.js";

// `calls` are the entries of tool calls that are not over, by id. Null for a record that has no entry of its own.
export function entry(record, calls) {
  return (kinds[record.type] ?? (() => null))(record, calls);
}

const kinds = {
  agent_thinking: (told) => item("thought", "Thought", told.step.replaceAll("_", " "), make("p.text", told.message)),
  model_turn: (told) => item("turn", `Turn ${told.turn}`, `${told.provider} ${told.model}`,
    make("span.hint", `${count(told.input_tokens)} in · ${count(told.output_tokens)} out · cost ${money(told.cost_usd)} · ${took(told.duration_ms)}`)),
  retry: (told) => item("warn", "Asked again", told.provider, make("p.text", `${told.reason} (attempt ${told.attempt}, after ${told.wait_s} s)`)),
  provider_fallback: (told) => item("warn", `${told.next} took over`, `from ${told.failed}`, make("p.text", told.reason)),
  tool_call: called,
  tool_result: finished,
  file_edit: edited,
  verification: (told) => item(told.ok ? "good" : "bad",
    told.on === "base" ? "Verified before the change" : "Verified", `exit ${told.exit_code} · ${took(told.duration_ms)}`,
    make("p", make("code", told.command)), output(told.output, !told.ok && told.on === "change")),
  syntax_check: (told) => item(told.ok ? "good" : "bad", "Syntax", told.ok ? "as it should be" : "", told.ok ? null : make("pre", told.problems.join("\n"))),
  policy: (told) => told.decision === "allow" ? null : item(told.decision === "refuse" ? "bad" : "warn",
    `${told.decision}: ${told.rule}`, told.path, make("p.text", told.message)),
  git_operation: (told) => item("git", "git", told.simulated ? "the equivalent of what was done" : "", make("p", make("code", told.command)), output(told.output)),
  pr_creation: (told) => item("git", "Pull request", told.simulated ? "not really" : "", make("p", make("code", told.command)), output(told.output)),
  egress: (told) => item(told.decision === "allowed" ? "turn" : "warn", `${told.decision}: ${told.host}:${told.port}`, told.reason),
  setup: (told) => item("good", "Setup", told.cached ? "kept from an earlier run" : took(told.duration_ms)),
  sandbox: (told) => told.ok ? null : item("bad", "The sandbox is not locked down", "", make("pre", told.problems.join("\n"))),
  warning: (told) => item("warn", "Warning", "", make("p.text", told.message)),
};

function item(kind, title, note, ...body) {
  return make(`li.entry.${kind}`, make("p.title", make("strong", title), note ? make("span.hint", note) : null), ...body);
}

function output(text, open = false) {
  if (!text) return null;
  const details = make("details", make("summary", "Output"), make("pre", text));
  details.open = open;
  return details;
}

function about({ command, pattern, path, ...more }) {
  if (command) return command;
  if (pattern) return path && path !== "." ? `'${pattern}' in ${path}` : `'${pattern}'`;
  return path ?? JSON.stringify(more);
}

function called(told, calls) {
  const node = item("tool", told.tool, "", make("p", make("code", about(told.arguments))));
  node.firstChild.append(make("span.badge.running", "running"));
  calls.set(told.id, node);
  return node;
}

function finished(told, calls) {
  const node = calls.get(told.id);
  if (!node) return null;
  calls.delete(told.id);
  const code = told.exit_code ? `exit ${told.exit_code} · ` : "";
  node.querySelector(".badge").replaceWith(make(`span.badge.${told.ok ? "succeeded" : "failed"}`, told.ok ? "ok" : "failed"),
    make("span.hint", `${code}${took(told.duration_ms)}`));
  const more = output(told.excerpt);
  if (more) node.append(more);
  return null;
}

function edited(told) {
  const path = told.old_path ? `${told.old_path} → ${told.filepath}` : told.filepath;
  const lines = told.diff.split("\n");
  const from = lines.findIndex((line) => line.startsWith("@@"));
  const hunks = from < 0 ? [] : lines.slice(from);
  if (hunks.at(-1) === "") hunks.pop();
  const plus = hunks.filter((line) => line.startsWith("+")).length;
  const minus = hunks.filter((line) => line.startsWith("-")).length;
  const node = item("edit", path, told.operation, told.description ? make("p.text", told.description) : null);
  node.firstChild.append(make("span.plus", `+${plus}`), make("span.minus", `−${minus}`));
  if (hunks.length) node.append(given(make("pre.diff", ...hunks.map(line)), { "aria-label": `Difference of ${path}` }));
  return node;
}

const LINES = { "+": "ins.line", "-": "del.line", "@": "span.line.hunk" };

function line(text) {
  return make(LINES[text[0]] ?? "span.line", text || " ", "\n");
}
