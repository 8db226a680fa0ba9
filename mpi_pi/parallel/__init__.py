"""One job on many ranks: share, count, reduce. Read `model.job`, `model.tally`, then the first six in order.

partition      cuts of a range of units into contiguous pieces
load_balancer  number of units of a round, and the ranks' shares of them
manager        bookkeeping of rank 0: records work results, assigns the next round
threads        the threads of a rank, which count its units
round_loop     the rounds on every rank: assignment, count, work result
run            a whole run: from a job or shard to its result

messages       columns of work results and assignments
problem        an error of a rank, which ends the run or the rank's part in it
outcome        the result of a run, from what its rounds leave behind
ledger         statistics of all ranks and rounds
hooks          callbacks and other arguments for the caller of a run
team           the handshake of all ranks before the first round

audit_plan     which units of a round a second rank counts, and which rank that is
auditor        the recounts of a rank, and the comparison of hits
disputes       who is wrong if two ranks have counted different hits
settlement     how all ranks find that out together
audit_book     what rank 0 knows of audits
origins        which rank has counted which units

repair         how rank 0 goes on after ranks were lost or excluded
recovery       after a loss of ranks: those left agree on a state, and go on from it
state          what a rank needs for that
account        that state, and what a rank has counted itself
"""
