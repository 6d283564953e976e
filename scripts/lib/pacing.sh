# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # set here and read by the script that sources this, or the reverse
# What pacing.sh makes of a report of an open loop. To be sourced after lib.sh.

# A rate that is farther off than this, in percent of what was asked, is a failure.
MOST_ERROR_PERCENT=0.1

# rate_error ASKED ACHIEVED: sets ERROR_PERCENT, with its sign. Whether that is near enough.
rate_error() {
    ERROR_PERCENT=$(awk -v asked="$1" -v achieved="$2" 'BEGIN {
        if (asked + 0 <= 0) exit 1
        printf "%+.4f", 100 * (achieved / asked - 1)
    }') || return 1
    awk -v error="$ERROR_PERCENT" -v most="$MOST_ERROR_PERCENT" \
        'BEGIN { exit !(error <= most && error >= -most) }'
}

pacing_heading() {
    cat <<END
| asked/s | spin | achieved/s | error % | send lag p50 us | p99 | p99.99 | own lag p50 us | p99 | p99.99 | service p50 us |
|---|---|---|---|---|---|---|---|---|---|---|
END
}

# pacing_row SPIN: a row from REPORT and ERROR_PERCENT.
pacing_row() {
    local name cells=()
    for name in send_lag_us.p50 send_lag_us.p99 send_lag_us.p9999 own_lag_us.p50 own_lag_us.p99 \
        own_lag_us.p9999 service_time_us.p50; do
        cells+=("${REPORT[$name]:--}")
    done
    printf '| %.0f | %s | %.2f | %s ' "${REPORT[open_loop.rate_asked]}" "$1" "${REPORT[requests_per_sec]}" "$ERROR_PERCENT"
    printf '| %.1f ' "${cells[@]}"
    printf '|\n'
}
