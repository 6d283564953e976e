#!/usr/bin/env python3
"""Tests that what the peers take from PyPI and npm is pinned: each version, what it must hash to, and no
place on this machine or another to take it from."""

from __future__ import annotations

import json
import pathlib
import re
import unittest

PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
REQUIREMENT = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*( --hash=sha256:[0-9a-f]{64})+")
EXACT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?")


def requirement_lines(text: str) -> list[str]:
    """Without comments, and each on a line of its own."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def loose_requirements(text: str) -> list[str]:
    return [line for line in requirement_lines(text) if not REQUIREMENT.fullmatch(line)]


def loose_packages(manifest: dict, lock: dict) -> list[str]:
    """What is wrong with a package.json and its package-lock.json."""
    wrong = [f"{name} {wish}" for name, wish in manifest["dependencies"].items() if not EXACT.fullmatch(wish)]
    if lock["packages"][""]["dependencies"] != manifest["dependencies"]:
        wrong.append("the lock file is that of another package.json")
    for path, package in lock["packages"].items():
        if path and "integrity" not in package:
            wrong.append(f"{path} has no integrity")
        if "resolved" in package:
            wrong.append(f"{path} has an address")
    return wrong


class Pinned(unittest.TestCase):
    def test_packages_from_pypi(self) -> None:
        files = sorted(PEERS.glob("*/requirements.txt"))
        self.assertTrue(files)
        for file in files:
            with self.subTest(file.parent.name):
                text = file.read_text(encoding="utf-8")
                self.assertTrue(requirement_lines(text))
                self.assertEqual(loose_requirements(text), [])

    def test_packages_from_npm(self) -> None:
        files = sorted(PEERS.glob("*/package.json"))
        self.assertTrue(files)
        for file in files:
            with self.subTest(file.parent.name):
                lock = file.with_name("package-lock.json")
                self.assertEqual(loose_packages(*(json.loads(f.read_text(encoding="utf-8")) for f in (file, lock))), [])


class Loose(unittest.TestCase):
    """What the tests above would find."""

    def test_requirements(self) -> None:
        good = "# from: x\n\nx==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n"
        self.assertEqual(loose_requirements(good), [])
        for line in ("--find-links /somewhere", "x>=1.0", "x==1.0", "x"):
            self.assertEqual(loose_requirements(good + line + "\n"), [line])

    def test_packages(self) -> None:
        manifest = {"dependencies": {"x": "1.0.0"}}
        package = {"version": "1.0.0", "integrity": "sha512-0"}

        def lock(of: dict) -> dict:
            return {"packages": {"": manifest, "node_modules/x": of}}

        self.assertEqual(loose_packages(manifest, lock(package)), [])
        self.assertEqual(loose_packages(manifest, lock({"version": "1.0.0"})), ["node_modules/x has no integrity"])
        self.assertEqual(loose_packages(manifest, lock({**package, "resolved": ""})), ["node_modules/x has an address"])
        wish = {"dependencies": {"x": "^1.0.0"}}
        self.assertEqual(len(loose_packages(wish, lock(package))), 2)


if __name__ == "__main__":
    unittest.main()
