# Reads the raw runs of lib/rounds.sh (CSV with a heading) and writes the tables of their report.
# Needs stats.awk before it. Plain POSIX awk. Variables:
#   arms     the arms, each followed by a semicolon; the first is what the others are compared with
#   seconds  the length of a run
#   again    the arm that is the same as the first: its differences are the noise (may be empty)
#   verdict  1 to say for each shape whether the first arm needs the least CPU
#   whose    whose CPU is told: "server" (also if it is empty), or "load" where load generators are compared

BEGIN {
    FS = ","
    if (whose == "") whose = "server"
    arm_count = split(arms, arm_names, ";") - 1
}

NR == 1 {
    for (i = 1; i <= NF; i++) column[$i] = i
    next
}

{
    shape = $column["connections"] " " $column["pipeline"] " " $column["requests_per_connection"] " " $column["path"]
    if (!(shape in shape_seen)) {
        shape_seen[shape] = 1
        shapes[++shape_count] = shape
    }
    round = $column["round"]
    if (round > rounds) rounds = round
    key = shape SUBSEP $column["arm"] SUBSEP round
    runs[key] = 1
    metric["rps", key] = $column["requests_per_sec"]
    metric["cpu", key] = $column[whose "_cpu_us"] / $column["requests"]
    metric["p50", key] = $column["p50_us"]
    metric["p99", key] = $column["p99_us"]
    metric["busy", key] = 100 * $column["load_cpu_us"] / (1000 * $column["load_wall_ms"])
    if ($column["errors"] > 0) runs_with_errors++
    if ($column["foreign_cpu_ms"] > foreign_max) foreign_max = $column["foreign_cpu_ms"]
    if ($column["foreign_cpu_ms"] > 50 * seconds) runs_disturbed++
    if ($column["steal_ms"] > 10 * seconds) runs_stolen++
    run_count++
}

END {
    order_shapes()
    for (s = 1; s <= shape_count; s++) print_shape(shapes[s])
    if (verdict) print_verdict()
    print_doubts()
}

# --- Shapes -------------------------------------------------------------------------------------

# Keep-alive, then pipelined, then short connections; few connections before many.
function order_shapes(    i, j, held) {
    for (i = 2; i <= shape_count; i++) {
        held = shapes[i]
        for (j = i - 1; j >= 1 && rank(shapes[j]) > rank(held); j--) shapes[j + 1] = shapes[j]
        shapes[j + 1] = held
    }
}

function rank(shape,    part) {
    split(shape, part, " ")
    return part[3] * 1000000000 + part[2] * 1000000 + part[1]
}

function shape_name(shape,    part) {
    split(shape, part, " ")
    return "c=" part[1] (part[2] > 1 ? ", pipelined x" part[2] : "") \
        (part[3] > 0 ? ", " part[3] " requests per connection" : "") ", GET " part[4]
}

# --- Figures of one arm over its rounds ---------------------------------------------------------

# Fills `sample` with one figure per round, sorted; n afterwards.
function collect(name, shape, arm,    round, key) {
    n = 0
    for (round = 1; round <= rounds; round++) {
        key = shape SUBSEP arm SUBSEP round
        if (key in runs) sample[++n] = metric[name, key]
    }
    sort_sample()
}

# The same with the arm's difference or ratio to the first arm, within each round.
function collect_pairs(how, name, shape, arm,    round, key, base) {
    n = 0
    for (round = 1; round <= rounds; round++) {
        key = shape SUBSEP arm SUBSEP round
        base = shape SUBSEP arm_names[1] SUBSEP round
        if (!(key in runs) || !(base in runs)) continue
        if (how == "difference") sample[++n] = metric[name, key] - metric[name, base]
        else if (metric[name, base] > 0) sample[++n] = metric[name, key] / metric[name, base]
    }
    sort_sample()
}

function median() {
    return n == 0 ? "-" : sprintf("%.0f", quantile(0.5))
}

function print_shape(shape,    a, arm) {
    printf "## %s\n\n", shape_name(shape)
    printf "| | requests/s | %s CPU us/request | CPU: difference, us | CPU: ratio | requests/s: ratio | p50 us | p99 us | load's core busy |%s\n", \
        whose, again == "" ? "" : " beside the noise |"
    printf "|---|---|---|---|---|---|---|---|---|%s\n", again == "" ? "" : "---|"
    if (again != "") {
        collect_pairs("difference", "cpu", shape, again)
        noise_known = n > 0
        noise = -sample[1] > sample[n] ? -sample[1] : sample[n]
    }
    for (a = 1; a <= arm_count; a++) {
        arm = arm_names[a]
        printf "| %s ", arm
        collect("rps", shape, arm)
        printf "| %s ", range("%.0f")
        collect("cpu", shape, arm)
        printf "| %s ", range("%.2f")
        print_pairs(shape, arm, a)
        collect("p50", shape, arm)
        printf "| %s ", median()
        collect("p99", shape, arm)
        printf "| %s ", median()
        collect("busy", shape, arm)
        printf "| %s %% |", median()
        if (again != "") printf " %s |", beside_noise(shape, arm, a)
        printf "\n"
    }
    printf "\n"
}

function print_pairs(shape, arm, a) {
    if (a == 1) {
        printf "| | | "
        return
    }
    collect_pairs("difference", "cpu", shape, arm)
    printf "| %s ", range("%+.2f")
    collect_pairs("ratio", "cpu", shape, arm)
    printf "| %s ", range("%.3f")
    collect_pairs("ratio", "rps", shape, arm)
    printf "| %s ", range("%.3f")
}

# Whether an arm's median is farther from nothing than any difference of two identical servers was.
function beside_noise(shape, arm, a,    middle) {
    if (a == 1) return ""
    if (arm == again) return "is the noise"
    collect_pairs("difference", "cpu", shape, arm)
    if (n == 0 || !noise_known) return "-"
    middle = quantile(0.5)
    if (middle > noise) return "costs CPU"
    if (middle < -noise) return "saves CPU"
    return "no difference seen"
}

# --- Verdict ------------------------------------------------------------------------------------

function print_verdict(    s, a, best, best_name, behind) {
    printf "## Verdict\n\n"
    printf "Requests per CPU-second, by the median of the ratios within each round.\n\n"
    for (s = 1; s <= shape_count; s++) {
        best = 0
        behind = ""
        for (a = 2; a <= arm_count; a++) {
            collect_pairs("ratio", "cpu", shapes[s], arm_names[a])
            if (n == 0) continue
            if (quantile(0.5) <= 1) behind = behind (behind == "" ? "" : ", ") arm_names[a]
            if (best == 0 || quantile(0.5) < best) {
                best = quantile(0.5)
                best_name = arm_names[a]
            }
        }
        if (best == 0) printf "- %s: nothing to compare with.\n", shape_name(shapes[s])
        else printf "- %s: %s is %s; the thriftiest of the others is %s, with %.3f of its CPU per request.\n", \
            shape_name(shapes[s]), arm_names[1], \
            behind == "" ? "ahead of all" : "NOT ahead of " behind, best_name, best
    }
    printf "\n"
}

# --- What to hold against these figures ---------------------------------------------------------

function print_doubts() {
    print "## How far to trust this\n"
    printf "- %d runs; %d with failed requests. Figures are median [lowest .. highest] over the rounds; differences and\n", \
        run_count, runs_with_errors
    printf "  ratios are to %s, computed within each round, of runs that were neighbours in time.\n", arm_names[1]
    printf "- Other processes used more than 5 %% of one core during %d runs (at most %d ms of %d s).\n", \
        runs_disturbed, foreign_max, seconds
    printf "- The hypervisor took more than 1 %% of one core during %d runs.\n", runs_stolen
    if (rounds < 5) printf "- Only %d rounds: too few for the spread to mean much.\n", rounds
    if (whose == "load") print_doubts_of_loads()
    else print_doubts_of_servers()
    print "  divided by completed requests: opening and closing connections is in it."
    print "- Latencies are closed-loop: they grow with the number of connections by definition."
}

function print_doubts_of_servers() {
    print "- Where the load's core is busy to 95 % and more, requests/s tell about the load generator as much as about the"
    print "  server, which waits for it; CPU per request still compares."
    print "- CPU is scheduler run time of all threads of the server, from before a run to when its connections are closed,"
}

function print_doubts_of_loads() {
    print "- Where the load's core is not busy, the server was the limit, and requests/s are the server's; CPU per request"
    print "  still compares."
    print "- CPU is scheduler run time of the load generator from its start to its exit, to 1 ms,"
}
