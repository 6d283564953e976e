"""Tests of the soak's Python: python3 -B -m unittest discover -s scripts/soak/tests -t scripts/soak"""
