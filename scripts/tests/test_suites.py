"""Tests of scripts/suites: that the files say what they are to say, and that what they name is there."""

import json
import unittest
from pathlib import Path

try:
    import tomllib
except ImportError:  # before Python 3.11
    tomllib = None

SUITES = Path(__file__).resolve().parent.parent / "suites"
NAMES = ["constant-rate", "frameworks-hello", "http-arena", "ping-json", "rest-documents", "web-api"]
# What make-files.sh makes.
MADE = "target/suites"


@unittest.skipIf(tomllib is None, "tomllib comes with Python 3.11")
class Suites(unittest.TestCase):
    def setUp(self):
        self.suites = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in SUITES.glob("*.toml")}

    def test_all_are_there_under_their_names(self):
        self.assertEqual(sorted(self.suites), NAMES)
        for name, suite in self.suites.items():
            self.assertEqual(suite["name"], name)

    def test_each_tells_its_source_its_method_and_where_it_misleads(self):
        for name, suite in self.suites.items():
            with self.subTest(name):
                for key in ("title", "source", "method"):
                    self.assertGreater(len(suite[key]), 10)
                self.assertGreaterEqual(len(suite["misleads"]), 5)
                self.assertTrue(suite["published"])
                for table in suite["published"]:
                    lengths = {len(row) for row in table["rows"]}
                    self.assertEqual(lengths, {len(table["columns"])}, table["title"])

    def test_ringserve_comes_first_and_nobody_twice(self):
        for name, suite in self.suites.items():
            with self.subTest(name):
                names = [server.get("name") or server["peer"] for server in suite["server"]]
                self.assertEqual(names[0], "ringserve")
                self.assertEqual(len(names), len(set(names)))
                for server in suite["server"]:
                    self.assertNotEqual("peer" in server, "command" in server)
                    self.assertIn("{port}", server.get("command", "{port}"))

    @unittest.skipUnless(list(SUITES.glob("../peers/*/peer.toml")), "the peers have no peer.toml here")
    def test_the_peers_are_there(self):
        for name, suite in self.suites.items():
            for server in suite["server"]:
                if "peer" in server:
                    about = SUITES / suite["peers"] / server["peer"] / "peer.toml"
                    self.assertTrue(about.is_file(), f"{name}: {about}")

    def test_request_files_and_what_they_send_are_there(self):
        for name, suite in self.suites.items():
            for scenario in suite["scenario"]:
                if "requests" not in scenario:
                    continue
                path = SUITES / scenario["requests"]
                with self.subTest(name, file=path.name):
                    for request in tomllib.loads(path.read_text(encoding="utf-8"))["request"]:
                        self.assertTrue(request["path"].startswith("/"))
                        file = request.get("body_file")
                        self.assertTrue(file is None or MADE in file or (path.parent / file).is_file(), file)

    def test_what_is_uploaded_and_served_is_what_is_made(self):
        made = (SUITES / "make-files.sh").read_text(encoding="utf-8")
        for name in ("arena-upload", "arena-static"):
            requests = tomllib.loads((SUITES / f"requests/{name}.toml").read_text(encoding="utf-8"))["request"]
            for request in requests:
                file = Path(request.get("body_file", request["path"])).name
                self.assertIn(f"{file.removesuffix('.bin')}:", made)

    def test_the_documents_that_nginx_has_are_those_of_ringserve(self):
        agents = json.loads((SUITES / "files/agents").read_text(encoding="utf-8"))
        rows = agents if isinstance(agents, list) else max(agents.values(), key=len)
        self.assertEqual(len(rows), 40)
        small = (SUITES / "files/docs/small").read_text(encoding="utf-8")
        self.assertEqual(small, '{"title":"a document with one field"}')
        big = json.loads((SUITES / "files/docs/big").read_text(encoding="utf-8"))
        self.assertEqual((len(big), big["field_001"]), (500, 276))


if __name__ == "__main__":
    unittest.main()
