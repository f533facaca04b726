// A run as far as its records tell, as views/state.py folds it; only what the page shows.

export const STEPS = [
  ["validation", "validate"], ["sandbox_init", "sandbox"], ["clone", "clone"], ["analysis", "analyse"],
  ["ai_processing", "solve"], ["pr_creation", "propose"], ["complete", "done"],
];

export function initial() {
  return {
    repo: "", prompt: "", base: "", branch: null, agents: [], resumes: null, started: null, last: null,
    step: "", progress: 0, message: "", steps: new Map(), provider: "", model: "", turn: 0, cost: 0, tokensIn: 0, tokensOut: 0,
    tools: 0, files: new Map(), insertions: 0, deletions: 0, sandbox: null, resources: null, saved: {}, verified: null,
    replaced: 0, outcome: null,
  };
}

export function advance(state, record) {
  state.started ??= record.at;
  state.last = record.at;
  (changes[record.type] ?? (() => {}))(state, record);
}

const changes = {
  run_started(state, { repo, prompt, base, agents, resumes }) {
    Object.assign(state, { repo, prompt, base, agents, resumes });
  },
  info(state, { step, progress, message, at }) {
    if (!state.steps.has(step)) state.steps.set(step, at);
    Object.assign(state, { step, message, progress: Math.max(state.progress, progress) });
  },
  repository(state, { base, branch }) {
    Object.assign(state, { base, branch });
  },
  model_turn(state, told) {
    Object.assign(state, { provider: told.provider, model: told.model, turn: told.turn });
    state.tokensIn += told.input_tokens;
    state.tokensOut += told.output_tokens;
    state.cost = state.cost === null || told.cost_usd === null ? null : state.cost + told.cost_usd;
  },
  provider_fallback(state) {
    state.replaced += 1;
  },
  tool_call(state) {
    state.tools += 1;
  },
  file_edit(state, { filepath, operation, old_path: old }) {
    if (old) state.files.delete(old);
    state.files.set(filepath, operation);
  },
  sandbox(state, told) {
    if (told.use === "agent") state.sandbox = told;
  },
  resources(state, told) {
    state.resources = told;
  },
  verification(state, told) {
    if (told.on === "change") state.verified = told;
  },
  work_saved(state, told) {
    for (const name of ["patch", "branch", "commit", "remote", "pr_url"]) {
      if (told[name]) state.saved[name] = told[name];
    }
    if (told.files_changed) Object.assign(state, { insertions: told.insertions, deletions: told.deletions });
  },
  success: closing,
  error: closing,
};

function closing(state, told) {
  state.outcome = told;
  state.message = told.message;
  state.cost = told.cost_usd;
  state.tokensIn = told.input_tokens;
  state.tokensOut = told.output_tokens;
  if (told.files_changed) Object.assign(state, { insertions: told.insertions, deletions: told.deletions });
  for (const name of ["patch", "branch", "pr_url"]) {
    if (told[name]) state.saved[name] = told[name];
  }
  if (told.type === "success") state.progress = 100;
}
