# Median, quartiles and range of the numbers in `sample`, 1 to n, for the other programs here: give
# it to awk with a -f of its own, before theirs. Plain POSIX awk.

function sort_sample(    i, j, held) {
    for (i = 2; i <= n; i++) {
        held = sample[i]
        for (j = i - 1; j >= 1 && sample[j] > held; j--) sample[j + 1] = sample[j]
        sample[j + 1] = held
    }
}

# Linear between the two nearest ranks, as most tools do it by default. Of a sorted sample.
function quantile(q,    at, low) {
    at = 1 + (n - 1) * q
    low = int(at)
    if (low >= n) return sample[n]
    return sample[low] + (at - low) * (sample[low + 1] - sample[low])
}

# "median [lowest .. highest]"
function range(format) {
    if (n == 0) return "-"
    return sprintf(format " [" format " .. " format "]", quantile(0.5), sample[1], sample[n])
}
