"""The placement of ranks and threads in the report on a run."""

from support.launching import MPI_PI, Launch


def test_report_describes_the_placement_of_the_run(launch: Launch) -> None:
    run = [MPI_PI, "run", "-n", "200", "-i", "1000", "--seed", "1"]
    crowd = launch(3, "taskset", "-c", "0", *run)
    assert ", bound to 1 core each" in crowd.stdout or "on 1 core (more" in crowd.stdout
    assert "Placement = 3 threads on " in crowd.stdout
    assert "(more threads than cores to run on)" in crowd.stdout
    alone = launch(0, *run)
    assert "Placement = 1 thread on " in alone.stdout
    hits = [line for line in alone.stdout.splitlines() if line.startswith("pi = ")]
    assert hits == [line for line in crowd.stdout.splitlines() if line.startswith("pi = ")]
