# Reads the raw runs of bench-compare.sh (CSV with a heading) and writes the tables of its report.
# Variable: seconds, the length of a run. Needs stats.awk before it. Plain POSIX awk.

BEGIN { FS = "," }

NR == 1 {
    for (i = 1; i <= NF; i++) column[$i] = i
    next
}

{
    group = $column["connections"] " " $column["pipeline"]
    if (!(group in group_seen)) {
        group_seen[group] = 1
        groups[++group_count] = group
    }
    round = $column["round"]
    if (round > rounds) rounds = round
    key = group SUBSEP $column["server"] SUBSEP $column["load"] SUBSEP round
    requests = $column["requests"]
    runs[key] = 1
    metric["rps", key] = $column["requests_per_sec"]
    metric["server", key] = $column["server_cpu_us"] / requests
    metric["load", key] = $column["load_cpu_us"] / requests
    metric["p50", key] = $column["p50_us"]
    metric["p99", key] = $column["p99_us"]
    if ($column["errors"] > 0) runs_with_errors++
    if ($column["foreign_cpu_ms"] > foreign_max) foreign_max = $column["foreign_cpu_ms"]
    if ($column["foreign_cpu_ms"] > 50 * seconds) runs_disturbed++
    if ($column["steal_ms"] > 10 * seconds) runs_stolen++
    run_count++
}

END {
    order_groups()
    print_runs()
    print_ratios()
    print_doubts()
}

# Keep-alive before pipelined, few connections before many, whatever order the runs were shuffled to.
function order_groups(    i, j, held) {
    for (i = 2; i <= group_count; i++) {
        held = groups[i]
        for (j = i - 1; j >= 1 && rank(groups[j]) > rank(held); j--) groups[j + 1] = groups[j]
        groups[j + 1] = held
    }
}

function rank(group,    part) {
    split(group, part, " ")
    return part[2] * 1000000 + part[1]
}

function group_name(group,    part) {
    split(group, part, " ")
    return "c=" part[1] (part[2] > 1 ? ", pipelined x" part[2] : "")
}

# --- Figures of one combination over its rounds -------------------------------------------------

# Fills `sample` with the rounds of a combination; n afterwards.
function collect(name, group, server, load,    round, key) {
    n = 0
    for (round = 1; round <= rounds; round++) {
        key = group SUBSEP server SUBSEP load SUBSEP round
        if (key in runs) sample[++n] = metric[name, key]
    }
    sort_sample()
}

# "median [lower quartile, upper quartile] (lowest, highest)"
function summary(format,    text) {
    if (n == 0) return "-"
    text = sprintf("%s [%s, %s] (%s, %s)", format, format, format, format, format)
    return sprintf(text, quantile(0.5), quantile(0.25), quantile(0.75), sample[1], sample[n])
}

# wrk prints 0 for high percentiles of pipelined runs: no figure rather than a false one.
function latency(name, group, server, load) {
    collect(name, group, server, load)
    return n > 0 && quantile(0.5) > 0 ? sprintf("%.0f", quantile(0.5)) : "-"
}

function print_runs(    g, s, l, group, server, load, servers, loads) {
    split("ringserve nginx", servers, " ")
    split("ringload wrk", loads, " ")
    print "## Every combination\n"
    print "Median [quartiles] (lowest, highest) over the rounds; p50 and p99 are medians.\n"
    print "| | server | load | requests/s | server CPU us/request | load CPU us/request | p50 us | p99 us |"
    print "|---|---|---|---|---|---|---|---|"
    for (g = 1; g <= group_count; g++) for (s = 1; s <= 2; s++) for (l = 1; l <= 2; l++) {
        group = groups[g]; server = servers[s]; load = loads[l]
        printf "| %s | %s | %s ", group_name(group), server, load
        collect("rps", group, server, load)
        printf "| %s ", summary("%.0f")
        collect("server", group, server, load)
        printf "| %s ", summary("%.2f")
        collect("load", group, server, load)
        printf "| %s ", summary("%.2f")
        printf "| %s | %s |\n", latency("p50", group, server, load), latency("p99", group, server, load)
    }
}

# --- Ratios, round by round ---------------------------------------------------------------------

function print_ratios(    g, group, part) {
    print "\n## Ratios\n"
    print "Computed within each round, of runs that were neighbours in time; then median [quartiles] (lowest, highest).\n"
    print "| | ratio | median and spread | target | verdict |"
    print "|---|---|---|---|---|"
    for (g = 1; g <= group_count; g++) {
        group = groups[g]
        split(group, part, " ")
        if (part[2] > 1) {
            ratio("server", group, "ringserve wrk", "nginx wrk", "<=", 0.08)
            ratio("server", group, "ringserve ringload", "nginx ringload", "<=", 0.08)
        } else {
            ratio("server", group, "ringserve wrk", "nginx wrk", "<=", 0.80)
            ratio("server", group, "ringserve ringload", "nginx ringload", "<=", 0.70)
            ratio("rps", group, "ringserve ringload", "nginx ringload", ">=", 1.4)
            ratio("load", group, "ringserve ringload", "ringserve wrk", "<=", 0.68)
            ratio("rps", group, "ringserve ringload", "ringserve wrk", ">=", 1.0)
            ratio("rps", group, "ringserve ringload", "nginx wrk", ">=", 1.5)
        }
    }
}

# One line: metric of A over metric of B, each "server load".
function ratio(name, group, a, b, relation, target,    round, key_a, key_b, pair_a, pair_b, median, met) {
    split(a, pair_a, " ")
    split(b, pair_b, " ")
    n = 0
    for (round = 1; round <= rounds; round++) {
        key_a = group SUBSEP pair_a[1] SUBSEP pair_a[2] SUBSEP round
        key_b = group SUBSEP pair_b[1] SUBSEP pair_b[2] SUBSEP round
        if (key_a in runs && key_b in runs && metric[name, key_b] > 0)
            sample[++n] = metric[name, key_a] / metric[name, key_b]
    }
    sort_sample()
    median = quantile(0.5)
    met = relation == "<=" ? median <= target : median >= target
    printf "| %s | %s: %s + %s over %s + %s | %s | %s %.2f | %s |\n", group_name(group), title(name), \
        pair_a[1], pair_a[2], pair_b[1], pair_b[2], summary("%.3f"), relation, target, \
        n == 0 ? "no pair" : met ? "met" : "missed"
}

function title(name) {
    if (name == "server") return "server CPU per request"
    if (name == "load") return "load CPU per request"
    return "requests/s"
}

# --- What to hold against these figures ---------------------------------------------------------

function print_doubts() {
    print "\n## How far to trust this\n"
    printf "- %d runs; %d with failed requests.\n", run_count, runs_with_errors
    printf "- Other processes used more than 5 %% of one core during %d runs (at most %d ms of %d s).\n", \
        runs_disturbed, foreign_max, seconds
    printf "- The hypervisor took more than 1 %% of one core during %d runs.\n", runs_stolen
    if (rounds < 5) printf "- Only %d rounds: too few for the spread to mean much.\n", rounds
    print "- CPU is scheduler run time: of all threads of the server from before a run to when its connections"
    print "  are closed, and of the load generator from start to exit, both divided by completed requests."
    print "- Latencies are closed-loop and as each load generator defines them: compare them within one only."
}
