#!/usr/bin/env bash
# Writes the man pages and the shells' completions of both programs, as the programs themselves make
# them from their flags. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<END
Usage: scripts/make-docs.sh [--bin-dir DIR] [FOLDER]

Writes ringserve's and ringload's man pages and completions into FOLDER (default: target/docs), which
is made if need be:

  man/man1/NAME.1, bash/NAME, zsh/_NAME, fish/NAME.fish, elvish/NAME.elv, powershell/_NAME.ps1

  --bin-dir DIR   take ringserve and ringload from DIR instead of building them
  -h, --help      print this

Exit codes: 0 all were written, 1 something was not, 2 bad arguments.
END
}

parse_arguments() {
    BIN_DIR=
    FOLDER=
    while (($# > 0)); do
        case $1 in
        --bin-dir)
            want_folder "$1" "${2-}" && BIN_DIR=$2
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        -*) die_usage "unknown argument '$1'" ;;
        *)
            [[ -n $1 && -z $FOLDER ]] || die_usage "one folder, not also '$1'"
            FOLDER=$1
            ;;
        esac
        shift
    done
    FOLDER=${FOLDER:-$IN_DIR/target/docs}
}

# write PROGRAM WHAT FILE: through a temporary file, so that a failure leaves no half of one.
write() {
    local file=$FOLDER/$3
    mkdir -p "${file%/*}" || die "cannot make the folder ${file%/*}"
    "$1" --generate "$2" >"$TMP/generated" || die "$1 --generate $2 failed"
    cp "$TMP/generated" "$file" || die "cannot write $file"
}

main() {
    local program name
    parse_arguments "$@"
    set_up_cleanup
    find_programs "$BIN_DIR"
    for program in "$RINGSERVE" "$RINGLOAD"; do
        name=${program##*/}
        write "$program" man "man/man1/$name.1"
        write "$program" bash "bash/$name"
        write "$program" zsh "zsh/_$name"
        write "$program" fish "fish/$name.fish"
        write "$program" elvish "elvish/$name.elv"
        write "$program" powershell "powershell/_$name.ps1"
    done
    note "Man pages and completions are in $FOLDER."
}

main "$@"
