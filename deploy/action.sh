#!/usr/bin/env bash
# The action's own step: inputs from the environment become arguments, each by itself.
set -euo pipefail

arguments=("$REPOSITORY")
[[ -z "$PROMPT" ]] || { printf '%s' "$PROMPT" >"$RUNNER_TEMP/tiny-backspace-prompt"; arguments+=("@$RUNNER_TEMP/tiny-backspace-prompt"); }
[[ -z "$BASE" ]] || arguments+=("--base=$BASE")
while IFS= read -r line; do
  [[ -z "$line" ]] || arguments+=("$line")
done <<<"$ARGUMENTS"
unset PROMPT REPOSITORY BASE ARGUMENTS

exec "${TINY_BACKSPACE:-$RUNNER_TEMP/tiny-backspace/bin/tiny-backspace}" run "${arguments[@]}"
