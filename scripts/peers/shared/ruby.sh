# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317 # what lib.sh has set; functions that it calls
# What the scripts of the Ruby peers share. To be sourced after lib.sh. Ruby, puma and the frameworks
# come from Debian's packages.

# run_ruby_peer FEATURE NAME CONSTANT "$@": the whole of a Ruby peer's `run`. CONSTANT has the version of what
# is called NAME, once FEATURE is required. Puma serves, and is named in parentheses unless it is the peer.
run_ruby_peer() {
    local feature=$1 name=$2 constant=$3
    shift 3
    # shellcheck disable=SC2016 # the hashes and dollars are Ruby's
    local say='
        require "puma/const"
        require ARGV[0]
        others = ["Ruby #{RUBY_VERSION}"]
        others.unshift("puma #{Puma::Const::PUMA_VERSION}") unless ARGV[1] == "puma"
        puts "#{ARGV[1]} #{Object.const_get(ARGV[2])} (#{others.join(", ")})"'
    installed() { has ruby && has puma && VERSION=$(ruby -e "$say" "$feature" "$name" "$constant" 2>/dev/null); }
    version() { printf '%s\n' "$VERSION"; }
    serve() {
        local yjit=()
        # Since 3.2 it is meant for production; builds may lack it.
        ! ruby --yjit -e 'exit RUBY_VERSION.to_f >= 3.2' 2>/dev/null || yjit=(--yjit)
        RACK_ENV=production RAILS_ENV=production APP_ENV=production PEER_LISTEN=$LISTEN PEER_THREADS=$THREADS \
            exec ruby "${yjit[@]}" "$(command -v puma)" --config "$PEERS_DIR/shared/ruby/puma.rb" "$PEER_DIR/config.ru"
    }
    run_peer "$@"
}
