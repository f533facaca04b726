// Elements, and text as numbers and facts are written everywhere else. Text only ever becomes text.

// What would not show, or would turn its neighbours around, is written out, as in the terminal's views.
const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u2065\ufff0-\ufff8\u{e0080}-\u{e0fff}]/gu;

export function shown(text) {
  const whole = String(text ?? "").replace(/\r\n?/g, "\n");
  return whole.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

// `what` is a name with classes, as in "p.hint"; children are nodes or text, null for none.
export function make(what, ...children) {
  const [name, ...classes] = what.split(".");
  const node = document.createElement(name);
  node.classList.add(...classes);
  return put(node, ...children);
}

export function put(node, ...children) {
  for (const child of children.flat()) {
    if (child instanceof Node) {
      node.append(child);
    } else if (child !== null && child !== undefined && child !== "") {
      const part = document.createTextNode("");
      part.textContent = shown(child);
      node.append(part);
    }
  }
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren();
  return put(node, ...children);
}

export function given(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
}

export const byId = (id) => document.getElementById(id);

// Only where it leads to the web: a repository or a model may have written the address.
export function link(address, text = address) {
  let scheme = "";
  try {
    scheme = new URL(address).protocol;
  } catch {
    // no address: it is shown as the text that it is
  }
  if (scheme !== "https:" && scheme !== "http:") return make("span", text);
  return given(make("a", text), { href: address, rel: "noopener noreferrer", target: "_blank" });
}

export function runLink(run) {
  return given(make("a", place(run.repo) || run.run_id), { href: `#/runs/${encodeURIComponent(run.run_id)}` });
}

export function badge(status) {
  return make(`span.badge.${/^[a-z]+$/.test(status) ? status : "unknown"}`, status);
}

// owner/name where that says enough.
export function place(repo) {
  return String(repo ?? "").replace(/^https?:\/\/[^/]+\//, "").replace(/\.git$/, "");
}

export function money(usd) {
  if (usd === null || usd === undefined) return "unknown";
  if (usd === 0) return "$0";
  return `$${usd.toFixed(Math.abs(usd) >= 1 ? 2 : 4)}`;
}

export function count(number) {
  if (number < 1000) return String(number);
  const thousands = number / 1000;
  return thousands < 1000 ? `${thousands.toFixed(1)}k` : `${(thousands / 1000).toFixed(1)}M`;
}

export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

export function took(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  while (value >= 1024 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${Number(value.toFixed(1))} ${units[0]}`;
}

export function time(at) {
  const when = new Date(at);
  if (Number.isNaN(when.getTime())) return make("span");
  const options = { dateStyle: "medium", timeStyle: "short" };
  return given(make("time", when.toLocaleString(undefined, options)), { datetime: when.toISOString() });
}

const WIDE = 11; // characters that half of a narrow column holds

// Terms and what they are; a value that is empty is left out.
export function facts(pairs) {
  const list = make("dl");
  for (const [term, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    const told = make("dd", value);
    list.append(make(told.textContent.length > WIDE ? "div.wide" : "div", make("dt", term), told));
  }
  return list;
}
