#!/usr/bin/env bash
# A Docker engine on this machine. Where one answers there is nothing to do; as root on Debian or Ubuntu
# it is installed and started; elsewhere this says what is missing.
set -euo pipefail

log=/var/log/dockerd.log
patience=60 # seconds for an engine to answer after it was started

say() { printf 'engine: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

answers() { docker version >/dev/null 2>&1; }

wait_for_engine() { # seconds
  local left=$1
  until answers; do
    ((left-- > 0)) || return 1
    sleep 1
  done
}

install_packages() {
  local packages=(docker.io iptables ca-certificates)
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  # Debian 13 and newer have the client in a package of its own
  if apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi
  apt-get install --yes --no-install-recommends "${packages[@]}"
}

# A killed engine leaves its numbers behind, and takes whoever has them by now for itself.
forget_dead() { # program, file…
  local program=$1 file
  shift
  for file in "$@"; do
    [[ -f $file && $(cat "/proc/$(<"$file")/comm" 2>/dev/null) != "$program" ]] && rm -f "$file"
  done
  return 0
}

start_engine() {
  if [[ -d /run/systemd/system ]]; then
    systemctl enable --now docker
    wait_for_engine "$patience" || fail "it was started and does not answer; see: journalctl -u docker"
    return
  fi
  forget_dead dockerd /var/run/docker.pid
  forget_dead containerd /var/run/docker/containerd/containerd.pid
  say "no systemd here: starting dockerd in the background, its log is $log"
  setsid dockerd </dev/null >"$log" 2>&1 &
  local pid=$! left=$patience
  until wait_for_engine 0; do
    if ! kill -0 "$pid" 2>/dev/null || ((left-- <= 0)); then
      tail -n 15 "$log" >&2
      fail "dockerd did not start; the end of its log is above"
    fi
    sleep 1
  done
}

if answers; then exit 0; fi

if [[ -n ${DOCKER_HOST:-} ]]; then
  fail "no engine answers at DOCKER_HOST=$DOCKER_HOST; unset it to use one on this machine"
fi
if ((EUID != 0)) && problem=$(docker version 2>&1 >/dev/null || true) && [[ $problem == *"ermission denied"* ]]; then
  fail "you may not speak to the engine; run: sudo usermod -aG docker $(id -un)   and log in again"
fi
debian=no
if [[ -r /etc/os-release ]] && (. /etc/os-release && [[ " ${ID:-} ${ID_LIKE:-} " == *" debian "* ]]); then
  debian=yes
fi
if [[ $debian == no ]]; then
  fail "no Docker engine answers and this is not Debian or Ubuntu; install one: https://docs.docker.com/engine/install/"
fi
if ((EUID != 0)); then
  fail "no Docker engine answers; run: sudo bash $(realpath "${BASH_SOURCE[0]}")"
fi

if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
  say "installing docker.io"
  install_packages </dev/null >&2
fi
# a package may have started it
wait_for_engine 2 || start_engine
say "engine $(docker version --format '{{.Server.Version}}') answers"
