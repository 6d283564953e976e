"""Writes a table (Markdown) and the raw runs (CSV) of the comparisons that tuning-map.sh has made.

    tuning_map.py FOLDER FATES FAILED OUT SCENARIO...

FOLDER/SCENARIO-KEY.json are reports of `ringload ab`; FATES has a line for each setting: key, value and
what became of it, with tabs between; FAILED a line for each comparison that failed; OUT.md and OUT.csv
are written. Needs nothing but Python's library.
"""

import csv
import datetime
import json
import os
import platform
import sys

METRICS = [
    ("requests_per_sec", "requests/s"),
    ("server_cpu_us_per_request", "server CPU per request"),
    ("latency_p99_us", "p99"),
]
LOADS = {
    "keep-alive": "64 connections, keep-alive",
    "short": "64 connections, 10 requests each",
    "many": "10,000 connections, opened in the run, keep-alive",
}
NOT_COMPARED = {
    "unchanged": "the kernel has this value by itself",
    "refused": "the kernel refuses it inside a namespace",
    "absent": "this kernel has no such key",
    "host": "belongs to the whole host: `--host` compares it, one arm after the other",
}


def percent(ratio):
    """1.023 -> +2.3 %."""
    return f"{100 * (ratio - 1):+.1f} %"


def finding(report, metric):
    return next(one for one in report["b_to_a"] if one["metric"] == metric)


def cell(one):
    interval = one["interval_ratio"]
    return f"{percent(one['effect_ratio'])} [{percent(interval['low'])} .. {percent(interval['high'])}]"


def verdict(report):
    """What can be said of the three metrics together."""
    if report["void"]:
        return "void: the control differs as well"
    shown = [
        f"{name} {'higher' if one['effect_ratio'] > 1 else 'lower'}"
        for metric, name in METRICS
        for one in [finding(report, metric)]
        if one["verdict"] == "different"
    ]
    if shown:
        return "**different**: " + ", ".join(shown)
    rate = finding(report, METRICS[0][0])
    if rate["verdict"] == "equivalent":
        return "equivalent within the margin"
    return f"none shown; from {percent(1 + rate['detectable_share'])} on it would have been"


def load_reports(folder, scenario, fates):
    """(key, value, how, report) of those that were compared."""
    found = []
    for key, value, how in fates:
        path = os.path.join(folder, f"{scenario}-{key}.json")
        if how in ("applied", "flag", "host") and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found.append((key, value, how, json.load(file)))
    return found


def table(found):
    yield "| key, alone | value | " + " | ".join(name for _, name in METRICS) + " | verdict |"
    yield "|---|---|" + "---|" * (len(METRICS) + 1)
    for key, value, how, report in found:
        note = {"flag": " (1)", "host": " (2)"}.get(how, "")
        cells = " | ".join(cell(finding(report, metric)) for metric, _ in METRICS)
        yield f"| `{key}`{note} | `{value}` | {cells} | {verdict(report)} |"
    yield ""


def write_runs(path, tables):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        metrics = None
        for scenario, found in tables.items():
            for key, value, _, report in found:
                for number, record in enumerate(report["round_records"], 1):
                    for slot in record["slots"]:
                        for run in slot["runs"]:
                            if metrics is None:
                                metrics = list(run["metrics"])
                                head = ["scenario", "key", "value", "round", "arm", "place", "steal_share", "requests"]
                                writer.writerow(head + metrics)
                            place = [scenario, key, value, number, run["arm"], run["place"]]
                            row = [f"{slot['steal_share'] or 0:.4f}", run["requests"]]
                            figures = ["" if run["metrics"][one] is None else f"{run['metrics'][one]:.2f}" for one in metrics]
                            writer.writerow(place + row + figures)


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else "unknown"


def head(reports):
    first = reports[0]
    kernel = " ".join((platform.system(), platform.release(), platform.machine()))
    yield "# The map of knobs: each kernel setting alone against the kernel's defaults"
    yield ""
    yield f"- Date: {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC"
    yield f"- CPU: {cpu_model()}, {os.cpu_count()} cores; kernel: {kernel}; over loopback, without a NIC"
    yield (
        f"- `ringload ab`, {first['rounds']} rounds of duet: A the defaults, B the same with one key, and A again as a"
        " control, in network namespaces of their own; server and load of an arm share a core where there are two"
    )
    yield (
        f"- Effects are B as a multiple of A, with the 95 % interval; margin of equivalence {100 * first['margin_share']:.0f} %."
        f" Each comparison allows for its {first['tests']} tests (Holm); the {len(reports)} comparisons here together are"
        " not allowed for: of 100 keys that do nothing up to 5 may show something by chance"
    )
    yield ""


def main():
    folder, fates_path, failed_path, out, *scenarios = sys.argv[1:]
    with open(fates_path, encoding="utf-8") as file:
        fates = [tuple(line.rstrip("\n").split("\t")) for line in file]
    with open(failed_path, encoding="utf-8") as file:
        failed = [line.strip() for line in file if line.strip()]
    tables = {scenario: load_reports(folder, scenario, fates) for scenario in scenarios}
    reports = [report for found in tables.values() for *_, report in found]
    if not reports:
        sys.exit("no comparison was made")
    lines = list(head(reports))
    for scenario, found in tables.items():
        lines += [f"## {LOADS[scenario]}", "", *table(found)]
    hows = {how for found in tables.values() for _, _, how, _ in found}
    if "flag" in hows:
        lines += ["(1) By the server's socket option (`--tcp-congestion`): a namespace may not choose it by sysctl.", ""]
    if "host" in hows:
        lines += ["(2) Set for the whole host, so one arm after the other: much noisier.", ""]
    compared = {(key, value) for found in tables.values() for key, value, *_ in found}
    others = [fate for fate in fates if fate[:2] not in compared]
    if others:
        lines += ["## Not compared", "", "| key | value | why |", "|---|---|---|"]
    for key, value, how in others:
        lines.append(f"| `{key}` | `{value}` | {NOT_COMPARED.get(how, 'its comparison failed')} |")
    lines += [""] + [f"- Failed: {line}" for line in failed]
    with open(out + ".md", "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip("\n") + "\n")
    write_runs(out + ".csv", tables)


if __name__ == "__main__":
    main()
