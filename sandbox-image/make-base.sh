#!/usr/bin/env bash
# A small Debian bookworm from Debian's own packages, for hosts that reach no image registry.
set -euo pipefail

usage() {
  cat <<'TEXT'
make-base.sh [NAME] [--force] [--sources FILE|URL]

Makes a base image for the sandbox with mmdebstrap and imports it into the engine.
  NAME       its name, tiny-backspace-base:bookworm by default
  --force    make it again although it exists
  --sources  a file of apt sources for bookworm, or the address of a Debian mirror.
             Left out, a Debian host's own sources are used. A host that is not Debian has none:
             mmdebstrap then takes Debian's default mirror, and --sources names another one.
             The sources stay in the image, so they may hold no password.
TEXT
}

say() { printf 'make-base: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

suite=bookworm
name=tiny-backspace-base:$suite
force=no
sources=
while (($#)); do
  case $1 in
    --force) force=yes ;;
    --sources) (($# > 1)) || { usage >&2; exit 2; }; sources=$2; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) name=$1 ;;
  esac
  shift
done

docker version >/dev/null 2>&1 || fail "no Docker engine answers; deploy/install-engine.sh installs one"
if [[ $force == no ]] && docker image inspect "$name" >/dev/null 2>&1; then
  say "$name exists (--force makes it again)"
  exit 0
fi

if ! command -v mmdebstrap >/dev/null; then
  install='apt-get update && apt-get install --yes --no-install-recommends mmdebstrap debian-archive-keyring'
  command -v apt-get >/dev/null || fail "mmdebstrap is missing, and this system has no apt to get it with"
  ((EUID == 0)) || fail "mmdebstrap is missing; as root: $install"
  say "installing mmdebstrap"
  export DEBIAN_FRONTEND=noninteractive
  bash -c "$install" </dev/null >&2
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The mirrors this host uses, whatever its own release is. Third-party sources are not wanted.
debian_codename() { (. /etc/os-release && [[ ${ID:-} == debian ]] && echo "${VERSION_CODENAME:-}"); }
if [[ -z $sources ]] && codename=$(debian_codename) && [[ -n $codename ]]; then
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [[ -s $file ]]; then
      sed "s/\b$codename\b/$suite/g" "$file" >"$work/sources"
      sources=$work/sources
      say "with this host's Debian sources ($file)"
      break
    fi
  done
fi
if [[ -f $sources ]] && grep -Eq '://[^/[:space:]]*@' "$sources" || [[ $sources =~ ://[^/]*@ ]]; then
  fail "the apt sources hold a password, which would stay in the image; name others with --sources"
fi

# The rules of what is left out are those of the sandbox image.
rules=()
while read -r line; do
  [[ $line == path-* ]] && rules+=("--dpkgopt=$line")
done <"$here/etc/dpkg/dpkg.cfg.d/slim"

say "making $name, about half a minute"
# The host's name and resolver are nobody's business in there.
mmdebstrap --quiet --variant=minbase "${rules[@]}" \
  --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
  --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/log/*.log "$1"/var/log/apt/*' \
  "$suite" "$work/root.tar" ${sources:+"$sources"} </dev/null >&2

docker import \
  --change 'LABEL tiny-backspace.base=1' \
  --change "LABEL org.opencontainers.image.title=debian-$suite-minbase" \
  --change 'CMD ["/bin/bash"]' \
  "$work/root.tar" "$name" >/dev/null
say "made $name ($(docker image inspect --format '{{.Size}}' "$name" | awk '{printf "%.0f MB", $1 / 1e6}'))"
