"""Health rules: each finds affected hosts and recommends a remedy. Rates are compared among hosts of a kind.

comparison  which hosts are alike, and what differs from the others
software    failures, wrong answers, versions, compilers
placement   how many ranks share which cores
speed       throttling, clocks, rates
node        a node that is examined alone, whatever it is busy with
network     reachability, links, names and addresses
baseline    what has changed since an earlier check
"""
