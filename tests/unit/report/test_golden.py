"""Texts that stay as they are, to the letter: what people grep must not change when the program does.

Where a change is meant, MPI_PI_RENEW_GOLDEN=1 writes them anew; the difference is then to be reviewed.
"""
