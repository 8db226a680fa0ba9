"""Hosts over ssh, without MPI."""
