"""Helpers of the tests: launches, MPIs, clusters of hosts, faults, made-up results and damaged files."""
