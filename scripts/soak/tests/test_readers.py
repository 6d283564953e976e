"""What is read of the kernel, of ringserve's metrics, and of files that grow."""

import os
import tempfile
import unittest

import metrics
import procfs
from processes import Follower, describe_code


class ProcTest(unittest.TestCase):
    def test_stat_with_a_name_that_is_none(self) -> None:
        rest = "S 1 2 3 0 -1 4194560 1 0 0 0 250 150 0 0 20 0 7 0 100 1 1"
        stat = procfs.parse_stat(f"42 (a) b (c)) {rest}\n")
        self.assertEqual((stat.state, stat.threads), ("S", 7))
        self.assertAlmostEqual(stat.cpu_s, 400 / procfs.TICKS_PER_S)

    def test_rollup(self) -> None:
        text = "55d0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:  2048 kB\nPss:  1024 kB\nPss_Dirty: 7 kB\n"
        self.assertEqual(procfs.parse_rollup(text), (2048 * 1024, 1024 * 1024))
        self.assertEqual(procfs.parse_rollup(""), (0, 0))

    def test_sockstat(self) -> None:
        text = "sockets: used 290\nTCP: inuse 5 orphan 1 tw 17 alloc 9 mem 3\nUDP: inuse 2 mem 0\n"
        found = procfs.parse_sockstat(text)
        self.assertEqual((found["sockets_used"], found["tcp_tw"], found["tcp_orphan"]), (290, 17, 1))
        self.assertEqual(found["tcp_mem_bytes"], 3 * procfs.PAGE_BYTES)

    def test_counters_are_told_apart_by_their_group(self) -> None:
        text = "TcpExt: ListenOverflows ListenDrops\nTcpExt: 3 4\nIpExt: ListenDrops\nIpExt: 9\n"
        self.assertEqual(procfs.parse_counters(text, "TcpExt"), {"ListenOverflows": 3, "ListenDrops": 4})
        self.assertEqual(procfs.parse_counters(text, "MPTcpExt"), {})

    def test_meminfo_and_machine(self) -> None:
        memory = procfs.parse_meminfo("Slab: 12 kB\nHugePages_Total: 3\n")
        self.assertEqual(memory, {"Slab": 12288, "HugePages_Total": 3})
        cpu = procfs.parse_machine_cpu("cpu  100 0 100 700 50 0 30 20 0 0\ncpu0 1\n")
        self.assertAlmostEqual(cpu["idle_s"] / cpu["all_s"], 0.75)
        self.assertAlmostEqual(cpu["steal_s"] / cpu["all_s"], 0.02)

    def test_this_process(self) -> None:
        process = procfs.read_process(os.getpid())
        assert process
        self.assertGreater(process.rss_bytes, 1 << 20)
        self.assertLessEqual(process.pss_bytes, process.rss_bytes)
        self.assertGreaterEqual(process.descriptors, 3)
        self.assertGreaterEqual(process.threads, 1)
        with tempfile.TemporaryFile():
            again = procfs.read_process(os.getpid())
            assert again
            self.assertEqual(again.descriptors, process.descriptors + 1)

    def test_a_process_that_is_not_there(self) -> None:
        # A number beyond pid_max.
        self.assertIsNone(procfs.read_process(1 << 30))

    def test_this_machine(self) -> None:
        network = procfs.read_network()
        self.assertIn("resets_sent", network)
        self.assertGreaterEqual(network["listen_drops"], 0)
        self.assertGreater(procfs.read_machine()["mem_available_bytes"], 0)


class MetricsTest(unittest.TestCase):
    def test_series_of_shards_are_summed_and_told_apart_by_labels(self) -> None:
        text = (
            "# HELP ringserve_requests_total Requests answered.\n"
            'ringserve_requests_total{shard="0"} 3\n'
            'ringserve_requests_total{shard="1"} 4\n'
            'ringserve_responses_total{shard="0",class="2xx"} 7\n'
            'ringserve_responses_total{shard="0",class="5xx"} 1\n'
            "process_threads 5\n"
        )
        self.assertEqual(metrics.parse(text), {"server_requests": 7, "server_responses_5xx": 1})

    def test_a_server_that_is_not_there_tells_nothing(self) -> None:
        # Port 1 of the loopback: nobody listens there.
        self.assertEqual(metrics.fetch(("127.0.0.1", 1)), {})


class FollowerTest(unittest.TestCase):
    def test_whole_lines_only_and_each_once(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            follower = Follower(f"{folder}/log")
            self.assertEqual(follower.lines(), [])
            with open(f"{folder}/log", "w", encoding="utf-8") as file:
                file.write("one\ntw")
                file.flush()
                self.assertEqual(follower.lines(), ["one"])
                self.assertEqual(follower.lines(), [])
                file.write("o\nthree\n")
                file.flush()
                self.assertEqual(follower.lines(), ["two", "three"])


class CodesTest(unittest.TestCase):
    def test_codes_for_people(self) -> None:
        self.assertEqual(describe_code(-9), "by signal SIGKILL")
        self.assertEqual(describe_code(3), "with code 3")
        self.assertEqual(describe_code(None), "not at all")


if __name__ == "__main__":
    unittest.main()
