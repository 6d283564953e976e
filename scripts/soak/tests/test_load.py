"""How connections and rate are divided, and what ringload is told."""

import tempfile
import unittest

import load
from load import Load, PlanError, make_plan


class PlanTest(unittest.TestCase):
    def test_one_percent_comes_and_goes(self) -> None:
        plan = make_plan(20_000, 5_000, 20_000)
        self.assertEqual(plan.churn_per_s, 200)
        self.assertEqual((plan.steady.connections, plan.churn.connections), (19_000, 1_000))
        self.assertEqual((plan.steady.rate_per_s, plan.churn.rate_per_s), (4_800, 200))
        self.assertIsNone(plan.steady.requests_per_connection)
        self.assertEqual(plan.churn.requests_per_connection, 1)

    def test_all_have_ports_and_descriptors(self) -> None:
        plan = make_plan(20_000, 5_000, 20_000)
        # 38,000 in a restart, and 13,000 with those in TIME_WAIT.
        self.assertEqual(plan.steady.sources, "127.0.0.2-127.0.0.5")
        self.assertEqual(plan.churn.sources, "127.0.0.100-127.0.0.101")
        self.assertEqual(plan.steady.threads, 1)
        self.assertEqual(make_plan(60_000, 20_000, 20_000).steady.threads, 3)
        # A kernel without IP_BIND_ADDRESS_NO_PORT from the ring can do these.
        small = make_plan(2_000, 5_000, 1_024 * 1_024)
        self.assertEqual((small.steady.sources, small.churn.sources), (None, None))

    def test_a_rate_that_is_too_low_is_refused_with_the_least_that_would_do(self) -> None:
        with self.assertRaisesRegex(PlanError, r"--rate 300 .* 400 is the least"):
            make_plan(20_000, 300, 20_000)
        with self.assertRaisesRegex(PlanError, r"--rate 900 .* 1150 is the least"):
            make_plan(20_000, 900, 20_000)
        make_plan(20_000, 1_150, 20_000)

    def test_the_first_request_comes_before_the_deadline_for_heads(self) -> None:
        for connections, rate in ((100, 5_000), (2_000, 5_000), (20_000, 1_200)):
            plan = make_plan(connections, rate, 20_000)
            self.assertGreaterEqual(plan.header_timeout_s, 2 * plan.idle_s)
            self.assertGreaterEqual(plan.header_timeout_s, 2 * plan.churn.connections / plan.churn.rate_per_s)

    def test_the_command(self) -> None:
        plan = make_plan(20_000, 5_000, 20_000)
        words = load.ringload_command("ringload", plan.churn, "http://h/", "f.toml", "/out", 60, "1000ms", [1, 2])
        line = " ".join(words)
        self.assertIn("-c 1000 -t 1 --cores 1,2 -R 200 -d 60s -T 10s", line)
        self.assertIn("--requests-per-connection 1 --source 127.0.0.100-127.0.0.101 http://h/", line)
        self.assertIn("--csv /out/churn.csv --hlog /out/churn.hlog --json /out/churn.json", line)


class LoadTest(unittest.TestCase):
    def test_intervals_are_read_as_they_come(self) -> None:
        plan = make_plan(2_000, 5_000, 20_000)
        with tempfile.TemporaryDirectory() as folder:
            one = Load(plan.steady, folder, 1)
            one.read(10.0)
            self.assertIsNone(one.open_connections)
            with open(f"{folder}/steady.csv", "w", encoding="utf-8") as file:
                file.write("elapsed_us,open_connections,latency_p50_us\n1000000,1900,12.5\n2000000,18")
            one.read(11.2)
            self.assertEqual(one.open_connections, 1900)
            self.assertAlmostEqual(one.go_s or 0, 10.2)
            with open(f"{folder}/steady.csv", "a", encoding="utf-8") as file:
                file.write("90,\n")
            one.read(12.1)
            self.assertEqual(one.rows[-1], {"elapsed_us": 2_000_000, "open_connections": 1890})
            # This one came sooner.
            self.assertAlmostEqual(one.go_s or 0, 10.1)
            self.assertIsNone(one.report())


if __name__ == "__main__":
    unittest.main()
