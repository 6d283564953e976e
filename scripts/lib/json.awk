# Flattens one JSON object into lines "path value": {"a":{"b":1},"c":[2]} -> a.b 1, c.0 2.
# Strings come without their quotes, escapes as they stand. Ends with 1 when the input is not JSON.
# Plain POSIX awk, because a bare machine has neither jq nor python.

{ text = text $0 "\n" }

END {
    at = 1
    value("")
    blanks()
    if (!failed && at <= length(text)) fail("text after the object")
    exit failed
}

function fail(why) {
    if (!failed) printf "json.awk: %s at character %d\n", why, at > "/dev/stderr"
    failed = 1
}

function blanks() {
    while (substr(text, at, 1) ~ /^[ \t\r\n]$/) at++
}

# Takes a token that PATTERN (anchored) matches here and returns it. The window bounds the cost of
# a step; no number or key comes near it.
function take(pattern, what,    window, token) {
    window = substr(text, at, 4096)
    # Of strings, only the packed histograms are longer.
    if (!match(window, pattern) && length(window) == 4096) window = substr(text, at)
    if (!match(window, pattern)) {
        fail("expected " what)
        return ""
    }
    token = substr(window, 1, RLENGTH)
    at += RLENGTH
    return token
}

function string(    token) {
    token = take("^\"([^\"\\\\]|\\\\.)*\"", "a string")
    return substr(token, 2, length(token) - 2)
}

function value(path,    first) {
    if (failed) return
    blanks()
    first = substr(text, at, 1)
    if (first == "{") members(path, "}")
    else if (first == "[") members(path, "]")
    else if (first == "\"") print path, string()
    else print path, take("^(true|false|null|-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?)", "a value")
}

function members(path, close_with,    index_, key, next_) {
    at++
    blanks()
    if (substr(text, at, 1) == close_with) {
        at++
        return
    }
    for (index_ = 0; !failed; index_++) {
        key = index_
        if (close_with == "}") {
            blanks()
            key = string()
            blanks()
            take("^:", "a colon")
        }
        value(path == "" ? key : path "." key)
        blanks()
        next_ = substr(text, at, 1)
        at++
        if (next_ == close_with) return
        if (next_ != ",") {
            at--
            fail("expected a comma or " close_with)
        }
    }
}
