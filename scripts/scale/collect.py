"""Makes a line of scale.sh's raw runs out of a report of ringload.

    collect.py REPORT.json RUN.hlog SKIP_MS NAME=VALUE...

Prints the line. NAME=VALUE are the columns that the script knows itself. Needs nothing but Python's library.
"""

import csv
import json
import sys

import figures


def main():
    report_path, log_path, skip_ms, *pairs = sys.argv[1:]
    with open(report_path, encoding="utf-8") as file:
        report = json.load(file)
    with open(log_path, encoding="utf-8") as file:
        log = file.read()
    row = dict.fromkeys(figures.COLUMNS, figures.NONE)
    for pair in pairs:
        name, value = pair.split("=", 1)
        if name not in row:
            sys.exit(f"collect.py: there is no column {name}")
        row[name] = value
    try:
        row |= figures.run_figures(report, log, int(skip_ms) * 1000)
    except figures.Unusable as error:
        sys.exit(f"collect.py: {report_path}: {error}")
    if row["requests"] == figures.NONE:
        # What was looked at was not a server with all its connections.
        row |= dict.fromkeys(figures.SEEN_BESIDE, figures.NONE)
    wanted = float(row["body_bytes"] or 0)
    if row["bytes_read"] != figures.NONE and row["bytes_read"] < wanted:
        sys.exit(f"collect.py: {row['arm']} answers with {row['bytes_read']} bytes where {wanted:.0f} were asked for")
    csv.DictWriter(sys.stdout, figures.COLUMNS, lineterminator="\n").writerow(row)


if __name__ == "__main__":
    main()
