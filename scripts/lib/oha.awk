# Reads oha's JSON, as json.awk has made it flat, into lines "name value", with the names of
# `ringload --format json`. Names of errors have blanks in them.

$1 == "summary.requestsPerSec" { print "requests_per_sec", $2 }
$1 == "latencyPercentiles.p50" { print "latency_us.p50", int($2 * 1000000 + 0.5) }
$1 == "latencyPercentiles.p99" { print "latency_us.p99", int($2 * 1000000 + 0.5) }
/^statusCodeDistribution\./ {
    requests += $2
    if (substr($1, 24) + 0 > 399) statuses += $2
}
# What is under way when the time is up is no failure.
/^errorDistribution\./ && !/aborted due to deadline/ { reads += $NF }

END {
    printf "requests %d\nerrors.status %d\nerrors.read %d\n", requests, statuses, reads
}
