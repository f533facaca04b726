// Which view is shown: the address after # says, so that back, forward and bookmarks work.

import { byId, fill } from "/page/dom.js";
import { begin, Refused, token } from "/page/client.js";
import * as health from "/page/health.js";
import * as history from "/page/history.js";
import * as run from "/page/run.js";

const VIEWS = ["login", "start", "run", "history", "health"];
let shown = new AbortController();
let key = null; // of the request that is in the form: sent twice, it is one run

function open(view, title) {
  for (const each of VIEWS) byId(each).hidden = each !== view;
  byId("forget").hidden = token.get() === null;
  if (title) document.title = `${title} · Tiny Backspace`;
  say("");
}

function say(message) {
  fill(byId("notice"), message).hidden = !message;
}

async function route() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const [, where, id] = location.hash.split("/");
  for (const each of document.querySelectorAll("nav a")) {
    if (each.getAttribute("href") === `#/${where ?? ""}`) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  try {
    if (where === "runs" && id) {
      open("run", "Run");
      fill(byId("run"));
      await run.show(decodeURIComponent(id), signal);
    } else if (where === "runs") {
      open("history", "History");
      await history.show(signal);
    } else if (where === "health") {
      open("health", "Health");
      await health.show(signal);
    } else {
      open("start", "New run");
      await history.lately(signal);
    }
  } catch (error) {
    if (!signal.aborted) failed(error, signal);
  }
}

function failed(error, signal) {
  if (error instanceof Refused && error.status === 401) {
    open("login", "Token");
    if (token.get() !== null) say("The service does not know this token.");
    byId("token").focus();
    return;
  }
  say(error instanceof Refused ? error.message : "The service does not answer; trying again.");
  if (error instanceof Refused && error.again === null) return;
  setTimeout(() => { if (!signal.aborted) route(); }, (error.again ?? 3) * 1000);
}

function code(form) {
  const told = Object.fromEntries(new FormData(form).entries());
  const options = {};
  for (const name of ["verify", "base", "publish"]) if (told[name]?.trim()) options[name] = told[name].trim();
  if (told.maxCost) options.maxCost = Number(told.maxCost);
  if (told.agents?.trim()) options.agents = told.agents.split(",").map((each) => each.trim()).filter(Boolean);
  if (told.dryRun) options.dryRun = true;
  return { repoUrl: told.repoUrl.trim(), prompt: told.prompt, options };
}

async function start(event) {
  event.preventDefault();
  const button = byId("start-button");
  if (button.disabled) return;
  button.disabled = true;
  say("");
  key ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
  try {
    const id = await begin(code(byId("start-form")), key);
    key = null;
    byId("prompt").value = "";
    location.hash = `#/runs/${encodeURIComponent(id)}`;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) failed(error, shown.signal);
    else {
      const wrong = (error.errors ?? []).map((each) => Object.values(each).join(": ")).join("; ");
      say(error instanceof Refused ? [error.message, wrong].filter(Boolean).join(" ") : "The service does not answer. Nothing is lost: press Start again.");
    }
  } finally {
    button.disabled = false;
  }
}

byId("start-form").addEventListener("submit", start);
byId("start-form").addEventListener("input", () => { key = null; });
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("start-form").requestSubmit();
});
byId("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(byId("token").value.trim());
  byId("token").value = "";
  route();
});
byId("forget").addEventListener("click", () => {
  token.forget();
  route();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after # is a view's
  byId("content").focus();
});
window.addEventListener("hashchange", () => {
  window.scrollTo(0, 0);
  route();
  document.querySelector("main section:not([hidden]) h1")?.focus();
});
route();
