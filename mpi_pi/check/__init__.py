"""Health of the hosts of a job."""
