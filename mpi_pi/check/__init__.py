"""Health check of the hosts of a job, run on its ranks, and of one node alone.

hosts      facts about the ranks and their hosts
probe      facts that each rank gathers about itself and its host
survey     rank 0 has all ranks probe, step by step
cores      known answers and rate of each core, counted by threads that are bound to it
node       facts about this node alone, gathered without MPI
steps      names of the steps of that
finding    a finding
rules      the rules and their sentences: software, placement, speed (throttling, rates), network, baseline
changes    measured changes since an earlier check, and what noise explains of them
diagnosis  all rules applied to the hosts, or those for a node alone
document   the result as JSON, written and read
"""
