"""Health check of the hosts of a job, run on its ranks.

hosts      facts about the ranks and their hosts
probe      facts that each rank gathers about itself and its host
survey     rank 0 has all ranks probe, step by step
finding    a finding
rules      the rules and their sentences: software, placement, speed (throttling, rates), network
diagnosis  all rules applied to the hosts
document   the result as JSON
"""
