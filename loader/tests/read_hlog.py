#!/usr/bin/env python3
"""What the Python HdrHistogram library reads in an HDR log, as JSON on one line.

    read_hlog.py FILE

For each interval: start and length in seconds, count, and the values at the percentiles below, in
the log's unit. Used by the tests of the loader; needs `pip install hdrhistogram`.
"""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

PERCENTILES = [1, 50, 75, 90, 99, 99.9, 99.99, 100]


def intervals(path):
    # Of the same shape as ringload's: finest bucket 128 ns, up to an hour, three digits.
    reader = HistogramLogReader(path, HdrHistogram(128, 3_600_000_000_000, 3))
    start_ms = reader.get_start_time_sec() * 1000
    while (histogram := reader.get_next_interval_histogram()) is not None:
        start_ms = reader.get_start_time_sec() * 1000
        yield {
            "start_s": (histogram.get_start_time_stamp() - start_ms) / 1000,
            "length_s": (histogram.get_end_time_stamp() - histogram.get_start_time_stamp()) / 1000,
            "count": histogram.get_total_count(),
            "values": [histogram.get_value_at_percentile(p) for p in PERCENTILES],
        }


if __name__ == "__main__":
    print(json.dumps(list(intervals(sys.argv[1]))))
