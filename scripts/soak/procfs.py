"""What the kernel tells of processes, of TCP and of the machine. Text in, numbers out."""

import os
from dataclasses import dataclass

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


@dataclass(frozen=True)
class Process:
    """One process at one moment."""

    rss_bytes: int
    pss_bytes: int
    descriptors: int
    threads: int
    cpu_s: float


def read_process(pid: int) -> Process | None:
    """None if it has ended."""
    try:
        stat = parse_stat(read(f"/proc/{pid}/stat"))
        if stat.state in "ZX":
            return None
        # Of what smaps_rollup needs a kernel may have less than of status, but since Linux 6.2 the
        # resident memory in status is a sum of per-core counters that may be off by 32 pages and more
        # for each core. Here the page table is counted.
        rss, pss = parse_rollup(read(f"/proc/{pid}/smaps_rollup"))
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(rss, pss, descriptors, stat.threads, stat.cpu_s)


@dataclass(frozen=True)
class Stat:
    state: str
    cpu_s: float
    threads: int


def parse_stat(text: str) -> Stat:
    """/proc/PID/stat; the name in it may hold anything, blanks and parentheses too."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(fields[0], (int(fields[11]) + int(fields[12])) / TICKS_PER_S, int(fields[17]))


def parse_rollup(text: str) -> tuple[int, int]:
    """RSS and PSS in bytes; both zero for a process that has no memory any more."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name] = int(rest.split()[0]) * 1024
    return found.get("Rss", 0), found.get("Pss", 0)


def parse_sockstat(text: str) -> dict[str, int]:
    """`sockets_used`, `tcp_inuse`, `tcp_orphan`, `tcp_tw`, `tcp_alloc`, `tcp_mem_bytes`."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        pairs = dict(zip(words[::2], (int(word) for word in words[1::2])))
        if name == "sockets":
            found["sockets_used"] = pairs["used"]
        elif name == "TCP":
            for key in ("inuse", "orphan", "tw", "alloc"):
                found[f"tcp_{key}"] = pairs[key]
            found["tcp_mem_bytes"] = pairs["mem"] * PAGE_BYTES
    return found


def parse_counters(text: str, group: str) -> dict[str, int]:
    """A group of /proc/net/snmp or /proc/net/netstat: a line of names and one of values."""
    names: list[str] | None = None
    for line in text.splitlines():
        prefix, _, rest = line.partition(": ")
        if prefix != group:
            continue
        if names is None:
            names = rest.split()
        else:
            return dict(zip(names, (int(word) for word in rest.split())))
    return {}


def parse_meminfo(text: str) -> dict[str, int]:
    """In bytes."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


def parse_machine_cpu(text: str) -> dict[str, float]:
    """/proc/stat: seconds of all cores since boot, `idle` and `steal`."""
    words = [int(word) for word in text.split("\n", 1)[0].split()[1:]]
    return {
        "idle_s": (words[3] + words[4]) / TICKS_PER_S,
        "steal_s": (words[7] if len(words) > 7 else 0) / TICKS_PER_S,
        "all_s": sum(words[:8]) / TICKS_PER_S,
    }


def read_network() -> dict[str, int]:
    """Of this process's network namespace; `tcp_alloc`, `tcp_mem_bytes` and orphans are the machine's."""
    found = parse_sockstat(read("/proc/net/sockstat"))
    extended = parse_counters(read("/proc/net/netstat"), "TcpExt")
    plain = parse_counters(read("/proc/net/snmp"), "Tcp")
    found["listen_overflows"] = extended.get("ListenOverflows", 0)
    found["listen_drops"] = extended.get("ListenDrops", 0)
    found["tcp_timeouts"] = extended.get("TCPTimeouts", 0)
    found["retransmits"] = plain.get("RetransSegs", 0)
    found["resets_sent"] = plain.get("OutRsts", 0)
    return found


def read_machine() -> dict[str, float]:
    memory = parse_meminfo(read("/proc/meminfo"))
    cpu = parse_machine_cpu(read("/proc/stat"))
    return {
        "slab_bytes": memory.get("Slab", 0),
        "mem_available_bytes": memory.get("MemAvailable", 0),
        "machine_idle_s": cpu["idle_s"],
        "machine_steal_s": cpu["steal_s"],
        "machine_all_s": cpu["all_s"],
    }
