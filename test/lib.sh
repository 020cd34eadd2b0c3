# shellcheck shell=bash
#
# What demo, check, matrix, bench/run and .ci/run have in common. Each of them must
# work from a bare machine, as root or with sudo, in any checkout, and leave behind
# neither files in the checkout nor a server that nobody asked for. So here, and
# only here, it is decided
#
#   * which server is used: $PG_CONFIG, else the newest supported major that is
#     installed, else the newest that apt offers;
#   * what is installed by apt, and that nothing is when nothing is missing;
#   * where things are built: in a copy of the tree that belongs to the user who
#     runs the server, because a server refuses to run as root. The copy is kept
#     from run to run and holds exactly the files of the tree.
#
# What failed is told at the end, just before the sum: of a long output many see
# no more than its end.
#
# (Output is not piped into `grep -q`: it ends early, and pipefail takes the writer's
# SIGPIPE for a failure.)
#
# No cluster of the machine is touched: servers listen on a socket in a private
# directory and on no network port.

set -euo pipefail

readonly supported_majors='15 16 17 18'
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
case ${PG_CONFIG:-} in
[!/]*/*) PG_CONFIG=$PWD/$PG_CONFIG ;;
esac
cd / # the user who runs the server may not be able to read where we were called

# Settings of the caller's own database work must not steer ours.
for name in "${!PG@}"; do
	[ "$name" = PG_CONFIG ] || unset "$name"
done
export LC_ALL=C.UTF-8
unset LANGUAGE CDPATH

step() {
	printf '== %s\n' "$*"
}

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# --- what failed -------------------------------------------------------------

readonly failures_heading='== What failed'

passed=0
failed=0
failure_names=()
failure_details=()

# Keep lines from standard input for the end.
keep_details() {
	local -a lines

	mapfile -t lines
	failure_details+=(${lines[@]+"${lines[@]}"})
}

# Print what was kept: the details, then the names in one list.
print_failures() {
	((${#failure_names[@]})) || return 0
	printf '%s\n' "$failures_heading" ${failure_details[@]+"${failure_details[@]}"}
	printf 'failed: %s\n' "${failure_names[@]}"
	failure_names=()
	failure_details=()
}

print_sum() {
	print_failures
	echo "$passed passed, $failed failed"
}

# Print what a run says as it comes, but keep what it says of its failures for the
# end of ours; its last line is left in $last_line.
relay() {
	local line told=no

	last_line=''
	while IFS= read -r line; do
		last_line=$line
		case $told,$line in
		*,"$failures_heading") told=yes ;;
		yes,'failed: '*) failure_names+=("${line#failed: }") ;;
		yes,*' passed, '*' failed') printf '%s\n' "$line" ;;
		yes,*) failure_details+=("$line") ;;
		*) printf '%s\n' "$line" ;;
		esac
	done
}

# Add up the sum that a run ended with. One that ended without it, or that failed
# without saying what, is a failure itself.
add_sum() {
	local name=$1 status=$2

	if ! [[ $last_line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		failed=$((failed + 1))
		failure_names+=("$name, which ended without a sum")
		return
	fi
	passed=$((passed + BASH_REMATCH[1]))
	failed=$((failed + BASH_REMATCH[2]))
	if ((status != 0 && BASH_REMATCH[2] == 0)); then
		failed=$((failed + 1))
		failure_names+=("$name, with exit code $status")
	fi
}

# --- users -------------------------------------------------------------------

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root is needed for: $*"
	fi
}

# The user who builds and runs servers: ourselves, or postgres when we are root.
server_user() {
	if [ "$(id -u)" -eq 0 ]; then
		echo postgres
	else
		id -un
	fi
}

as_server_user() {
	if [ "$(id -u)" -eq 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# --- packages ----------------------------------------------------------------

# Find out the major and the paths of the server to be used, installing what is
# missing for it. The arguments name what the caller needs besides a server and
# a compiler: "tap" for the TAP tests.
prepare_machine() {
	local -a missing=()

	choose_major
	mapfile -t missing < <(missing_packages "$@")
	if ((${#missing[@]})); then
		install_packages "${missing[@]}"
		mapfile -t missing < <(missing_packages "$@")
		((${#missing[@]} == 0)) || die "still missing after the installation: ${missing[*]}"
	fi
	find_server
}

choose_major() {
	local m

	if [[ ${PG_CONFIG:-} =~ ^/usr/lib/postgresql/([0-9]+)/bin/pg_config$ ]]; then
		use_packaged "${BASH_REMATCH[1]}"
		return
	fi
	if [ -n "${PG_CONFIG:-}" ]; then
		pg_config=$(command -v "$PG_CONFIG") || die "PG_CONFIG=$PG_CONFIG cannot be run"
		major=$(major_of "$pg_config")
		return
	fi
	for m in $(majors_newest_first); do
		if [ -x "$(packaged_bindir "$m")/postgres" ] && has_server_dev "$m"; then
			use_packaged "$m"
			return
		fi
	done
	if ! command -v apt-get >/dev/null; then
		pg_config=$(command -v pg_config) ||
			die "no apt here: install PostgreSQL (one of $supported_majors) with its development files, gcc, make, perl with IPC::Run, then set PG_CONFIG"
		major=$(major_of "$pg_config")
		return
	fi
	m=$(newest_offered) || {
		update_package_lists
		m=$(newest_offered) ||
			die "apt offers no supported major of PostgreSQL here; dbops works on $supported_majors"
	}
	use_packaged "$m"
}

newest_offered() {
	local m

	for m in $(majors_newest_first); do
		if apt_offers "postgresql-$m"; then
			echo "$m"
			return
		fi
	done
	return 1
}

majors_newest_first() {
	tr ' ' '\n' <<<"$supported_majors" | sort -rn
}

use_packaged() {
	major=$1
	pg_config=$(packaged_bindir "$1")/pg_config
}

packaged_bindir() {
	echo "/usr/lib/postgresql/$1/bin"
}

# (pgxs.mk proves nothing: Debian's client package has it too.)
has_server_dev() {
	[ -e "/usr/include/postgresql/$1/server/postgres.h" ]
}

major_of() {
	"$1" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'
}

# Judge by what can be used and not by what a package manager knows, so that it
# is right on any machine; the names printed are Debian's.
missing_packages() {
	local need

	command -v gcc >/dev/null || command -v cc >/dev/null || echo gcc
	[ -e /usr/include/stdio.h ] || echo libc6-dev
	command -v make >/dev/null || echo make
	command -v perl >/dev/null && perl -MJSON::PP -MTest::More -e1 2>/dev/null || echo perl
	if [ "$pg_config" = "$(packaged_bindir "$major")/pg_config" ]; then
		[ -x "$(packaged_bindir "$major")/postgres" ] || echo "postgresql-$major"
		has_server_dev "$major" || echo "postgresql-server-dev-$major"
	fi
	for need in "$@"; do
		case $need in
		tap) perl -MIPC::Run -e1 2>/dev/null || echo libipc-run-perl ;;
		*) echo "$need" ;;
		esac
	done
}

apt_offers() {
	apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null
}

update_package_lists() {
	step 'Reading the package lists (apt-get update)'
	as_root apt-get update -qq
}

install_packages() {
	local package

	command -v apt-get >/dev/null || die "no apt here, and these are missing (Debian's names): $*"
	for package in "$@"; do
		apt_offers "$package" || {
			update_package_lists
			break
		}
	done
	step "Installing $* (and what they depend on)"
	if [[ " $*" == *' postgresql-'[0-9]* ]]; then
		without_cluster apt_install_any "$@"
	else
		apt_install_any "$@"
	fi
}

# Debian's packages create a database cluster and start it when they are
# installed; nobody asked us for one.
without_cluster() {
	local conf=/etc/postgresql-common/createcluster.d/dbops-none.conf status=0

	echo '   (the programs of PostgreSQL only: no database cluster is created)'
	as_root install -d "$(dirname "$conf")"
	as_root tee "$conf" <<<'create_main_cluster = false' >/dev/null
	"$@" || status=$?
	as_root rm -f "$conf"
	return "$status"
}

# Lists that are too old name packages that are gone: read them and try again.
apt_install_any() {
	apt_install "$@" || { update_package_lists && apt_install "$@"; }
}

# Show how much is fetched, and the whole of what apt says only if it fails.
apt_install() {
	local log status=0

	log=$(mktemp)
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1 || status=$?
	if ((status == 0)); then
		grep -E '^(Need to get|After this operation)' "$log" || true
	else
		cat "$log" >&2
	fi
	rm -f "$log"
	return "$status"
}

# Derive every path from pg_config, so that a server built by hand serves as
# well as a packaged one.
find_server() {
	local m

	major=$(major_of "$pg_config")
	for m in $supported_majors; do
		[ "$m" != "$major" ] || break
	done
	[ "$m" = "$major" ] || die "$pg_config is of PostgreSQL $major; dbops works on $supported_majors"
	bindir=$("$pg_config" --bindir)
	# shellcheck disable=SC2034 # check's
	pgxs=$(cd "$(dirname "$("$pg_config" --pgxs)")/../.." 2>/dev/null && pwd -P) ||
		die "$pg_config has no PGXS beside it: the server's development files are missing"
	[ -x "$bindir/postgres" ] || die "there is no server in $bindir"
	id "$(server_user)" >/dev/null 2>&1 ||
		die "a server cannot run as root, and there is no user $(server_user)"
}

# --- the copy of the tree ----------------------------------------------------

# Print the directory for temporary things. A root's TMPDIR can be closed to the
# user who runs the server.
scratch_base() {
	local base=${TMPDIR:-/var/tmp}

	as_server_user test -w "$base" 2>/dev/null || base=/var/tmp
	echo "$base"
}

# Make a directory that belongs to the server's user, or take it when it does
# already; one that somebody else made in a public place is not trusted.
own_directory() {
	as_server_user mkdir -m 700 "$1" 2>/dev/null || true
	[ "$(stat -c '%F of %U' "$1")" = "directory of $(server_user)" ] ||
		die "$1 exists and is not a directory of $(server_user)"
}

# Hold a directory until this command ends. Whoever starts a server must close
# descriptor 9 for it.
lock() {
	exec 9<"$1"
	flock -n 9 || {
		echo "waiting for another run in $1"
		flock 9
	}
}

# A working directory for a command, the same one in each run for this tree and
# this server.
work_directory() {
	local id
	id=$(printf '%s %s' "$tree" "$pg_config" | cksum | cut -d' ' -f1)
	echo "$(scratch_base)/dbops-$1-$major-$id"
}

# The files of the tree, null-terminated: what git knows or would add. A tree
# without git, as in the matrix, is such a copy already.
tree_files() {
	if git -c safe.directory='*' -C "$tree" rev-parse --git-dir >/dev/null 2>&1; then
		git -c safe.directory='*' -C "$tree" ls-files -z --cached --others --exclude-standard
	else
		(cd "$tree" && find . -type f -printf '%P\0')
	fi | sort -zu | (cd "$tree" && while IFS= read -r -d '' file; do
		[ ! -f "$file" ] || printf '%s\0' "$file"
	done)
}

# Bring the copy at $1 up to date. What changed by size or time, in whichever
# direction, is copied as of now, so that make compiles it; files that left the
# tree leave the copy.
copy_tree() {
	local copy=$1 old=$1/.files new

	own_directory "$copy"
	as_server_user touch "$old"
	new=$(mktemp)
	tree_files | (cd "$tree" && xargs -0 -r stat --printf='%n\t%.9Y\t%s\0') | sort -z >"$new"
	comm -z -13 "$old" "$new" | names_in |
		tar -C "$tree" --null -T - -cf - |
		as_server_user tar -C "$copy" --no-same-owner -m -xf -
	comm -z -23 <(names_in <"$old") <(names_in <"$new") |
		(cd "$copy" && as_server_user xargs -0 -r rm -f --)
	cmp -s <(names_in <"$old") <(names_in <"$new") || rm_build_products "$copy"
	as_server_user tee "$old" <"$new" >/dev/null
	rm -f "$new"
}

names_in() {
	cut -z -f1 | sort -z
}

# Products of an older set of files, or of other flags, are not to be trusted.
rm_build_products() {
	as_server_user find "$1" \( -name '*.o' -o -name '*.bc' -o -name '*.so' -o -name .built-with \) -delete
	as_server_user find "$1" -maxdepth 1 -name 'dbops--*.sql' -delete
}

# Build the copy at $1 with the remaining arguments given to make, and install
# it into the server.
build_and_install() {
	local copy=$1 with
	shift

	with="$("$pg_config" --version) $*"
	if [ "$with" != "$(cat "$copy/.built-with" 2>/dev/null)" ]; then
		rm_build_products "$copy"
		as_server_user tee "$copy/.built-with" <<<"$with" >/dev/null
	fi
	as_server_user make -s -C "$copy" -j"$(nproc)" PG_CONFIG="$pg_config" "$@" || return
	if [ -w "$("$pg_config" --pkglibdir)" ]; then
		make -s -C "$copy" PG_CONFIG="$pg_config" "$@" install
	else
		as_root make -s -C "$copy" PG_CONFIG="$pg_config" "$@" install
	fi
}

# --- private servers ---------------------------------------------------------

# Create and start a server under $1, with settings read from standard input.
# Its data are in $1/data and its socket and log in $1.
start_new_server() {
	local dir=$1

	as_server_user "$bindir/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
		--no-sync >"$dir/initdb.log" 2>&1 || {
		cat "$dir/initdb.log" >&2
		die 'initdb failed'
	}
	{
		printf "listen_addresses = ''\nunix_socket_directories = '%s'\n" "$dir"
		cat
	} | as_server_user tee -a "$dir/data/postgresql.conf" >/dev/null
	start_server "$dir"
}

start_server() {
	local dir=$1

	as_server_user "$bindir/pg_ctl" -D "$dir/data" -l "$dir/server.log" -s -w -t 60 start </dev/null >/dev/null 2>&1 9<&- || {
		tail -n 20 "$dir/server.log" >&2
		die "the server in $dir does not start"
	}
}

server_runs() {
	as_server_user "$bindir/pg_ctl" -D "$1/data" status >/dev/null 2>&1
}

stop_server() {
	! server_runs "$1" ||
		as_server_user "$bindir/pg_ctl" -D "$1/data" -s -w -t 60 -m immediate stop
}
