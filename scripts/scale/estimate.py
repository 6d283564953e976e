"""What one machine of 64 cores, and ten of them, would carry, from what a request and a connection cost here.

It is arithmetic, not a measurement. All that goes into it beside the measured figures stands in `ASSUMED`, each with
a range; the results carry these ranges and the quartiles of the measurement along.
"""

import math
from dataclasses import dataclass

from figures import Spread, slope
from plots import amount, memory, size

CORES = 64
MEMORY_BYTES = 256 * 2**30
NIC_BITS = 100e9
MEMORY_BANDWIDTH = 200e9
MACHINES = 10
# Of the kernel: fs.nr_open, and nf_conntrack_max as it is on machines with much memory.
FILES_PER_TABLE = 1_048_576
CONNTRACK_ENTRIES = 262_144
PORTS_PER_ADDRESS = 64_512
# Ethernet with preamble and gap (38), IPv4 (20), TCP with time stamps (32); what is left of 1,500 for data.
SEGMENT_OVERHEAD = 90
SEGMENT_DATA = 1448
# A body is copied into the kernel (read and written), and fetched by the card.
MEMORY_TOUCHES = 3


@dataclass(frozen=True)
class Range:
    """From what is the least to expect to the most."""

    least: float
    likely: float
    most: float

    def map(self, function):
        """The same of something that grows with it."""
        return Range(function(self.least), function(self.likely), function(self.most))

    def text(self, form=amount):
        """The likely one, and the others in brackets."""
        return f"{form(self.likely)} [{form(self.least)} .. {form(self.most)}]"


@dataclass(frozen=True)
class Assumption:
    """Something that was not measured."""

    name: str
    range: Range
    why: str


UTILISATION = Assumption(
    "share of the CPU that may be used",
    Range(0.7, 0.8, 0.9),
    "beyond it queues grow faster than throughput",
)
NETWORK = Assumption(
    "CPU of a request over a network card, over that on loopback",
    Range(1.7, 1.3, 1.0),
    "interrupts, the driver and its buffers come on top; the receiving half of TCP is in both",
)
CROWD = Assumption(
    "CPU of a request on 64 busy cores, over that on one",
    Range(1.5, 1.2, 1.0),
    "shared caches, memory and clock; shards share nothing themselves",
)
BALANCE = Assumption(
    "evenness over ten machines",
    Range(0.8, 0.9, 1.0),
    "the fullest machine decides, and a balancer's hash is not even",
)
MEMORY_SHARE = Assumption(
    "share of the memory for connections",
    Range(0.6, 0.8, 0.9),
    "the rest is the system's, and buffers that fill when clients are slow",
)
ASSUMED = (UTILISATION, NETWORK, CROWD, BALANCE, MEMORY_SHARE)


@dataclass(frozen=True)
class Workload:
    """A kind of request with what it costs here: CPU in us, bytes as read and written by the client."""

    name: str
    cost_us: Spread
    bytes_out: float
    bytes_in: float
    depth: int = 1

    def per_core(self):
        """Requests per second of one core of this machine, all of it."""
        return 1e6 / self.cost_us.median

    def rate(self):
        """Requests per second of the machine's cores."""
        costs = (self.cost_us.third_quarter, self.cost_us.median, self.cost_us.first_quarter)
        used, network, crowd = UTILISATION.range, NETWORK.range, CROWD.range
        return Range(
            CORES * 1e6 * used.least / (costs[0] * network.least * crowd.least),
            CORES * 1e6 * used.likely / (costs[1] * network.likely * crowd.likely),
            CORES * 1e6 * used.most / (costs[2] * network.most * crowd.most),
        )

    def segments(self):
        """Out and in, per request; what is pipelined leaves together."""
        out = math.ceil(self.depth * self.bytes_out / SEGMENT_DATA) / self.depth
        into = math.ceil(self.depth * self.bytes_in / SEGMENT_DATA) / self.depth
        # Of a long answer every second segment is acknowledged; the last with the next request.
        return out, into + max(0.0, out - 1) / 2

    def wire_bits(self):
        """Out and in, per request, all of the frame."""
        out, into = self.segments()
        return (
            8 * (self.bytes_out + out * SEGMENT_OVERHEAD),
            8 * (self.bytes_in + into * SEGMENT_OVERHEAD),
        )

    def nic_rate(self, bits=NIC_BITS):
        """Requests per second that fill the card in its fuller direction."""
        return bits / max(self.wire_bits())

    def limited(self):
        """Requests per second by the tighter of CPU and card, and its name."""
        cpu, card = self.rate(), self.nic_rate()
        return cpu.map(lambda rate: min(rate, card)), "CPU" if cpu.likely <= card else "card"

    def memory_bytes_per_sec(self, rate):
        """Memory traffic of the bodies."""
        return MEMORY_TOUCHES * (self.bytes_out + self.bytes_in) * rate


def workloads(summary, arm):
    """Those that were measured, hello first."""
    found = []

    def add(name, axis, value, depth=1):
        cost = summary.spread(arm, axis, value, "server_cpu_us")
        out = summary.spread(arm, axis, value, "bytes_read")
        into = summary.spread(arm, axis, value, "bytes_written")
        if cost and out and into and cost.first_quarter > 0:
            found.append(Workload(name, cost, out.median, into.median, depth))

    crowds = [value for value, _ in summary.series(arm, "connections", "server_cpu_us")]
    if crowds:
        usual = min(crowds, key=lambda count: abs(math.log(count / 1000)))
        add(f"hello, {amount(usual)} connections", "connections", usual)
        if max(crowds) > usual:
            add(f"hello, {amount(max(crowds))} connections", "connections", max(crowds))
    for depth in summary.values("pipeline"):
        if depth == 16 or depth == max(summary.values("pipeline")):
            add(f"hello, pipelined x{int(depth)}", "pipeline", depth, int(depth))
    for length in summary.values("bytes"):
        if length >= 1000:
            add(f"{size(length)} a response", "bytes", length)
    return found


@dataclass(frozen=True)
class Connections:
    """What one costs the server's machine, in bytes; `None`: it could not be told."""

    user: Spread | None
    kernel: Spread | None

    @classmethod
    def of(cls, summary, arm):
        """By how the memory grows from run to run with connections, from a thousand on."""

        def points(figure, share):
            return [
                (run["value"], run[figure] * share)
                for run in summary.runs
                if run["arm"] == arm
                and run["axis"] == "connections"
                and run["value"] >= 1000
                and run[figure] is not None
            ]

        # The kernel holds both ends of a connection over loopback.
        return cls(slope(points("pss_bytes", 1)), slope(points("slab_bytes", 0.5)))

    def total(self):
        """Bytes, most first; None unless the kernel's part is known."""
        if self.kernel is None or self.kernel.median <= 0:
            return None
        user = self.user or Spread(0, 0, 0, 0, 0, 0)
        return Range(
            max(0, user.third_quarter) + self.kernel.third_quarter,
            max(0, user.median) + self.kernel.median,
            max(0, user.first_quarter) + max(self.kernel.first_quarter, self.kernel.median / 2),
        )

    def most(self):
        """How many fit into the machine's memory."""
        per = self.total()
        if per is None:
            return None
        share = MEMORY_SHARE.range
        return Range(
            MEMORY_BYTES * share.least / per.least,
            MEMORY_BYTES * share.likely / per.likely,
            MEMORY_BYTES * share.most / per.most,
        )


def rate_rows(found):
    """The table of the report: cells of text."""
    rows = []
    for work in found:
        rate, by = work.limited()
        out, into = work.wire_bits()
        segments = sum(work.segments())
        ten = Range(
            MACHINES * rate.least * BALANCE.range.least,
            MACHINES * rate.likely * BALANCE.range.likely,
            MACHINES * rate.most * BALANCE.range.most,
        )
        rows.append(
            [
                work.name,
                f"{work.cost_us.median:.2f} [{work.cost_us.first_quarter:.2f} .. {work.cost_us.third_quarter:.2f}]",
                amount(work.per_core()),
                rate.text(),
                by,
                f"{out * rate.likely / 1e9:.3g} / {into * rate.likely / 1e9:.3g}",
                f"{segments * rate.likely / 1e6:.3g}",
                f"{work.memory_bytes_per_sec(rate.likely) / 1e9:.3g}",
                ten.text(),
            ]
        )
    return rows


RATE_COLUMNS = [
    "workload",
    "CPU here, us/request [quartiles]",
    "one whole core here, /s",
    f"{CORES} cores, requests/s",
    "limit",
    "Gbit/s out / in",
    "million segments/s",
    "memory traffic, GB/s",
    f"{MACHINES} machines, requests/s",
]


def assumption_rows():
    """Each with its range, from the worse to the better."""
    return [
        [it.name, f"{it.range.likely:g} [{it.range.least:g} .. {it.range.most:g}]", it.why] for it in ASSUMED
    ]


def limits(summary, arm, found):
    """Where the next limit lies: sentences."""
    told = []
    if not found:
        return ["Nothing was measured that an estimate could start from."]
    hello = found[0]
    cpu = hello.rate()
    out, _ = hello.wire_bits()
    smallest_frames = NIC_BITS / (8 * (64 + 20))
    told.append(
        f"**CPU.** {hello.name}: {cpu.text()} requests/s. Nearly all of it is the kernel's TCP, once for each "
        f"segment; what helps is fewer segments (pipelining, larger answers) before anything in the program."
    )
    segments = sum(hello.segments()) * cpu.likely
    told.append(
        f"**Packets.** That is {segments / 1e6:.3g} million segments/s in both directions. 100 Gbit/s carry at most "
        f"{smallest_frames / 1e6:.0f} million of the smallest frames in each; many cards do less by themselves, and "
        f"they have to reach {CORES} cores: as many receive queues as shards, and each connection on the shard of its "
        f"queue (`--incoming-cpu`)."
    )
    told.append(
        f"**Bandwidth.** {hello.name}: {amount(cpu.likely)} requests/s need {out * cpu.likely / 1e9:.3g} Gbit/s out; 100 Gbit/s are full at "
        f"{amount(hello.nic_rate())} requests/s, 25 Gbit/s at {amount(hello.nic_rate(25e9))}. {_crossing(found)}"
    )
    told += _memory_limit(found)
    told += _connection_limits(summary, arm, hello)
    told += _load_needed(summary, arm, hello)
    return told


def _crossing(found):
    by_card = [work for work in found if work.limited()[1] == "card"]
    if by_card:
        return f"The first workload in the table that the card limits before the CPU: {by_card[0].name}."
    return "No workload in the table fills the card before the CPU."


def _memory_limit(found):
    worst = max(found, key=lambda work: work.memory_bytes_per_sec(work.limited()[0].likely))
    traffic = worst.memory_bytes_per_sec(worst.limited()[0].likely)
    return [
        f"**Memory bandwidth.** The most traffic of bodies has \"{worst.name}\": {traffic / 1e9:.3g} GB/s of about "
        f"{MEMORY_BANDWIDTH / 1e9:.0f} (eight channels of DDR4-3200), if each byte is touched {MEMORY_TOUCHES} times."
    ]


def _connection_limits(summary, arm, hello):
    told = []
    per = Connections.of(summary, arm)
    most = per.most()
    if most is None:
        told.append(
            "**Connections.** What one costs could not be told: it takes two numbers of connections from 1,000 on."
        )
    else:
        user = f"{memory(max(0, per.user.median))} of the server" if per.user else "an unknown part of the server"
        told.append(
            f"**Memory of connections.** One costs {memory(per.kernel.median)} of the kernel and {user}: "
            f"{most.text()} of them in {memory(MEMORY_BYTES)}, ten machines {amount(MACHINES * most.likely)}. "
            f"If each asks once in ten seconds, {amount(10 * hello.rate().likely)} keep the CPU busy, so that "
            f"{'the CPU' if 10 * hello.rate().likely < most.likely else 'memory'} is the limit then."
        )
        told.append(
            f"**Ports.** From one client address there are {PORTS_PER_ADDRESS:,} connections to one server address and "
            f"port: {amount(most.likely)} need {amount(math.ceil(most.likely / PORTS_PER_ADDRESS))} client addresses. "
            f"A balancer in front that opens connections itself is such a client."
        )
    told.append(
        f"**Files.** A shard's table holds what RLIMIT_NOFILE allows, at most fs.nr_open ({FILES_PER_TABLE:,}): "
        f"{amount(CORES * FILES_PER_TABLE)} on {CORES} shards."
    )
    told.append(
        f"**Connection tracking.** A firewall with state holds {CONNTRACK_ENTRIES:,} connections by default "
        f"(nf_conntrack_max), which is the first of all limits on connections where it is not turned off or raised, "
        f"and adds its own cost to each segment."
    )
    return told


def _load_needed(summary, arm, hello):
    told = []
    crowds = summary.series(arm, "connections", "load_cpu_us")
    if crowds:
        load_us = min(crowds, key=lambda pair: abs(math.log(pair[0] / 1000)))[1].median
        cores = hello.rate().likely * load_us / 1e6 / UTILISATION.range.likely
        told.append(
            f"**The load.** ringload needs {load_us:.2f} us of its own for each of these requests: {math.ceil(cores)} "
            f"cores like these to drive one such server."
        )
    softirq = summary.series(arm, "connections", "softirq_share")
    if softirq:
        share = min(softirq, key=lambda pair: abs(math.log(pair[0] / 1000)))[1]
        told.append(
            f"**Soft interrupts.** {100 * share.median:.0f} % [{100 * share.low:.0f} .. {100 * share.high:.0f}] of the "
            f"server's cores were in them here, which is the receiving half of TCP over loopback: "
            f"{share.median * CORES:.0f} of {CORES} cores. With a card its interrupts and driver come on top, within the "
            f"range of the assumption above; where they all land on a few cores, these are full first."
        )
    return told
