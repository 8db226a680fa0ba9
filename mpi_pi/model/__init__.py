"""Jobs, tallies and the estimates that follow from them: plain values, without input, output, MPI or JSON.

job         trials x points and a seed; a unit of work is a trial, or a block of a long trial
goodness    goodness of fit of the units' hits, in bins
tally       exact sums over units
shard       a part of a job with its tally and resource usage
binomial    the distribution of hits under the null hypothesis
dispersion  chi-squared test of the variance between units
estimate    pi and its test statistics, from a tally
audit       outcome of an audit: ranks that count wrongly
detection   rate at which an audit finds a rank that counts wrongly
origin      when, where and by which command a result was counted
result      outcome of a run: shard, estimate, statistics of ranks and rounds
hosts       sums over the ranks of each host
verdict     criteria that a correct result passes: limits of p-values
"""
