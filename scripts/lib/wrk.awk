# Reads wrk's report into lines "name value", with the names of `ringload --format json`.

# "635.00us" -> 635, "12.92ms" -> 12920
function us(text,    number) {
    number = text + 0
    if (text ~ /us$/) return number
    if (text ~ /ms$/) return number * 1000
    if (text ~ /m$/) return number * 60000000
    if (text ~ /h$/) return number * 3600000000
    return number * 1000000
}

$2 == "requests" && $3 == "in" { print "requests", $1 }
$1 == "Requests/sec:" { print "requests_per_sec", $2 }
$1 == "50%" { print "latency_us.p50", us($2) }
$1 == "75%" { print "latency_us.p75", us($2) }
$1 == "90%" { print "latency_us.p90", us($2) }
$1 == "99%" { print "latency_us.p99", us($2) }
/^  Socket errors:/ {
    gsub(/,/, "")
    for (i = 3; i < NF; i += 2) print "errors." $i, $(i + 1)
}
/^  Non-2xx or 3xx responses:/ { print "errors.status", $NF }
