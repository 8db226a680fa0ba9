"""Burn-in of all hosts of a job: load in phases, and a look at cores, sensors and hits meanwhile.

phases      the phases, and which ranks count in the rounds of each
conduct     the phases on all ranks, one after the other
binding     cores for ranks that are not bound
facts       facts about hosts and ranks
report      what each rank tells rank 0 at the end of a phase
meter       the rate of a rank over time
observer    the sensors of a host over time, read by one of its ranks
sample      what sensors told over a short time
outcome     hosts, ranks and phases, as plain values
comparison  rates of twins, and of the end and the beginning
finding     a finding
rules       the rules and their sentences
diagnosis   all rules applied to a burn-in
document    the outcome as JSON, written and read
"""
