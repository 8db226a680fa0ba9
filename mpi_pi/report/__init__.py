"""Output for people: text, the HTML page and pictures.

blocks      lines, tables and sections that reports are built of
plain       blocks as plain text
csv         their tables as comma-separated values
run         the report of a run
run_tables  its tables of hosts and ranks
losses      its lines on ranks that were lost or excluded
audit       its line on the audit
check       the report of `mpi-pi check`
node        the report of `mpi-pi check --node`
changes     the part of both on an earlier check
burn_in     the report of `mpi-pi burn-in`
preflight   the report of `mpi-pi check-hosts`
deployment  the report of `mpi-pi deploy`
archive     the report of `mpi-pi wheelhouse`
bench       the report of a benchmark, and of the comparison of two
sources     files that pictures and the page show
html        the page, with its style sheet `page.css`
plots       pictures
"""
