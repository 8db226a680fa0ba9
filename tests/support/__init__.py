"""Helpers of the tests: launches, MPIs, a cluster of hosts, made-up results and damage to files."""
