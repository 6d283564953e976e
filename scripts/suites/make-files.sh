#!/usr/bin/env bash
# Makes what the suite http-arena uploads and what it has served as files, in target/suites. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

TARGET=$IN_DIR/target/suites

# HttpArena's files: names and order of its documentation, sizes within the ranges that are given there
# for each kind, so that they add up to about what they do there (842 KB).
STATIC_FILES=(
    reset.css:8000 layout.css:25000 theme.css:33000 components.css:110000 utilities.css:60000
    analytics.js:12000 helpers.js:22000 app.js:100000 vendor.js:160000 router.js:18000
    header.html:55000 footer.html:60000
    regular.woff2:18000 bold.woff2:22000
    logo.svg:15000 icon-sprite.svg:62000
    hero.webp:45000 thumb1.webp:8000 thumb2.webp:6000
    manifest.json:3000
)
UPLOADS=(500k:500000 2m:2000000 10m:10000000 20m:20000000)

usage() {
    cat <<HELP
Usage: scripts/suites/make-files.sh

Makes the files for the suite http-arena: 20 to be served, in $TARGET/static, and four
to be uploaded (500 kB to 20 MB), in $TARGET/upload. What is there in its size is left as it is. The bytes
are always the same.
HELP
}

# make FILE BYTES: a file of that length. Text that no compression of a file system makes small.
make() {
    local file=$1 bytes=$2
    [[ ! -f $file ]] || (($(stat -c %s "$file") != bytes)) || return 0
    awk -v bytes="$bytes" -v name="${file##*/}" 'BEGIN {
        for (i = 1; i <= length(name); i++) seed = (seed * 31 + index("abcdefghijklmnopqrstuvwxyz0123456789.-", substr(name, i, 1))) % 2147483647
        while (written < bytes) {
            line = ""
            for (i = 0; i < 8; i++) {
                seed = (seed * 16807) % 2147483647
                line = line sprintf("%08x", seed)
            }
            line = substr(line "\n", 1, bytes - written)
            written += length(line)
            printf "%s", line
        }
    }' >"$file" || die "cannot write $file"
}

main() {
    case ${1-} in
    '') ;;
    -h | --help) usage && exit 0 ;;
    *) die_usage "unknown argument '$1'" ;;
    esac
    mkdir -p "$TARGET/static" "$TARGET/upload" || die "cannot make the folder $TARGET"
    local entry
    for entry in "${STATIC_FILES[@]}"; do make "$TARGET/static/${entry%:*}" "${entry#*:}"; done
    for entry in "${UPLOADS[@]}"; do make "$TARGET/upload/${entry%:*}.bin" "${entry#*:}"; done
    note "$TARGET: ${#STATIC_FILES[@]} files to serve, ${#UPLOADS[@]} to upload"
}

main "$@"
