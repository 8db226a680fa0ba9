"""One job on many ranks: share, count, reduce. Read it in this order, after `model.job` and `model.tally`.

partition      cut a range of units into contiguous pieces
load_balancer  how many units a round has, and in which proportion ranks share them
manager        bookkeeping of rank 0: records work results, assigns the next round
threads        the threads of a rank, which count its units
round_loop     the rounds on every rank: assignment, count, report
hooks          what the caller of a run does meanwhile
team           the handshake of all ranks before the first round
run            the whole: from a job or shard to its result
"""
