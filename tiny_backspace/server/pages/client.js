// The service's routes, and a run's records as they come, over however many connections that takes.

const KEY = "tiny-backspace-token"; // of this tab, and of no other
const SILENCE = 45_000; // milliseconds; the service speaks up every 15 seconds
const LONGEST = 10; // seconds between two attempts

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

// The service said no. `again` are the seconds after which it may be asked once more, if that would help.
export class Refused extends Error {
  constructor(status, said, again) {
    super([said.detail ?? `The service answered ${status}.`, said.hint].filter(Boolean).join(" "));
    this.status = status;
    this.errors = said.errors ?? [];
    this.again = again;
  }
}

// Throws Refused, or TypeError where nobody answers.
export async function ask(path, { headers = {}, ...options } = {}) {
  const held = token.get();
  const all = held ? { ...headers, Authorization: `Bearer ${held}` } : headers;
  const answer = await fetch(path, { cache: "no-store", credentials: "omit", ...options, headers: all });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const wait = Number(answer.headers.get("Retry-After")) || LONGEST;
  throw new Refused(answer.status, said, answer.status === 429 || answer.status >= 500 ? wait : null);
}

export const json = async (path, options) => (await ask(path, options)).json();

// The id of a new run. It goes on whoever listens; its records come by `follow`.
export async function begin(code, key) {
  const left = new AbortController();
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  const answer = await ask("/code", { method: "POST", headers, body: JSON.stringify(code), signal: left.signal });
  left.abort();
  return (answer.headers.get("Location") ?? "").split("/").pop();
}

// Tells `heard` of records, some at a time and each once, until the closing one or `signal`. `said` hears how the
// connection is: "" while it is well. Returns what the service says of the run where it ended without a closing record.
export async function follow(runId, heard, said, signal) {
  const path = `/runs/${encodeURIComponent(runId)}`;
  let last = 0;
  let attempts = 0;
  while (!signal.aborted) {
    try {
      for await (const events of connection(`${path}/events`, last, signal)) {
        attempts = 0;
        said("");
        const problem = events.find((each) => each.type === "problem");
        const records = events.filter((each) => each.id).map((each) => JSON.parse(each.data));
        if (records.length) {
          heard(records);
          last = records[records.length - 1].seq;
        }
        if (problem || records.some(isClosing)) return problem ? json(path, { signal }) : null;
      }
      const run = await json(path, { signal });
      if (run.status !== "running" && run.status !== "queued") return run;
    } catch (error) {
      if (signal.aborted) return null;
      if (error instanceof Refused && error.again === null) throw error;
      const wait = error.again ?? Math.min(2 ** attempts, LONGEST);
      said(`The connection is lost; trying again in ${wait} s.`);
      attempts += 1;
      await pause(wait * 1000, signal);
      continue;
    }
    await pause(500, signal);
  }
  return null;
}

export const isClosing = (record) => record.type === "success" || record.type === "error";

// The events of one connection, as many at a time as come together.
async function* connection(path, last, signal) {
  const lost = new AbortController();
  const end = () => lost.abort();
  signal.addEventListener("abort", end);
  let silence = setTimeout(end, SILENCE);
  try {
    const headers = last ? { Accept: "text/event-stream", "Last-Event-ID": String(last) } : { Accept: "text/event-stream" };
    const answer = await ask(path, { headers, signal: lost.signal });
    if (answer.status === 204) return;
    yield [];
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(end, SILENCE);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      const events = blocks.map(parsed).filter((each) => each.data);
      if (events.length) yield events;
    }
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", end);
    end();
  }
}

// One event (the HTML standard, 9.2.6), of what the service sends: lines end with \n.
function parsed(block) {
  const event = { type: "", id: "", data: "" };
  const data = [];
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    const name = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (name === "data") data.push(value);
    else if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
  }
  return { ...event, data: data.join("\n") };
}

export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
