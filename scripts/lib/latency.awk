# Reads the raw runs of compare-latency.sh (CSV with a heading) and writes the tables of its report.
# Needs stats.awk before it. Plain POSIX awk. Variable: places, "SERVER CONNECTIONS" in the order in which
# they are told, each followed by a semicolon.

BEGIN {
    FS = ","
    place_count = split(places, place_names, ";") - 1
    figure_count = split("requests_per_sec p50_us p75_us p90_us p99_us", figures, " ")
    heading_count = split("requests/s;p50 us;p75 us;p90 us;p99 us", headings, ";")
}

NR == 1 {
    for (i = 1; i <= NF; i++) column[$i] = i
    next
}

{
    place = $column["server"] " " $column["connections"]
    if ($1 > rounds) rounds = $1
    for (f = 1; f <= figure_count; f++)
        value[place, $column["loader"], $1, f] = $column[figures[f]]
}

END {
    for (p = 1; p <= place_count; p++) print_place(place_names[p])
    print "Figures are medians [lowest .. highest] over the rounds; ratios are computed within each round. A ratio is"
    print "*within the noise* where its median is no farther from 1 than the ratio of wrk-again to wrk was in any round."
}

function print_place(place,    f, part) {
    split(place, part, " ")
    printf "## %s, c=%s\n\n| | wrk | ringload | wrk-again / wrk | ringload / wrk | |\n|---|---|---|---|---|---|\n", part[1], part[2]
    for (f = 1; f <= figure_count; f++) {
        printf "| %s ", headings[f]
        collect_one(place, "wrk", f)
        printf "| %s ", range("%.0f")
        collect_one(place, "ringload", f)
        printf "| %s ", range("%.0f")
        collect_ratio(place, "wrk-again", f)
        noise = distance(sample[1]) > distance(sample[n]) ? distance(sample[1]) : distance(sample[n])
        printf "| %s ", range("%.3f")
        collect_ratio(place, "ringload", f)
        printf "| %s | %s |\n", range("%.3f"), distance(quantile(0.5)) <= noise ? "within the noise" : "differs"
    }
    printf "\n"
}

# How far a ratio is from 1, the same for one and its inverse.
function distance(ratio) {
    return ratio > 1 ? ratio - 1 : 1 / ratio - 1
}

function collect_one(place, loader, f,    round) {
    n = 0
    for (round = 1; round <= rounds; round++) sample[++n] = value[place, loader, round, f]
    sort_sample()
}

function collect_ratio(place, loader, f,    round) {
    n = 0
    for (round = 1; round <= rounds; round++)
        sample[++n] = value[place, loader, round, f] / value[place, "wrk", round, f]
    sort_sample()
}
