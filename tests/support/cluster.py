"""A cluster of hosts on one machine: network namespaces, each with its own address, name and sshd.

Needs root and Debian's iproute2, openssh-server and openssh-client; for Slurm also slurmctld, slurmd,
slurm-client, libpmix2 and munge. The hosts share the file system but for /dev/shm and /var/tmp. Nothing
leaves the machine.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from support import lacks
from support.launching import ROOT

NETWORK = "192.168.1"
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")
PERIOD_MICROSECONDS = 10_000
PROGRAMS = ("ip", "mount", "nsenter", "setpriv", "unshare", "ssh", "ssh-keygen", "/usr/sbin/sshd")
SLURM_PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "/usr/lib/*/libpmix.so.2")
WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Beginning of the command of a process that is to end with this one, however this one ends."""


def missing(programs: tuple[str, ...] = PROGRAMS) -> list[str]:
    """Return which of the programs, and rights for namespaces, are missing."""
    return [*lacks.missing(programs), *lacks.missing_rights()]


class Cluster:
    """Hosts `client` (.100) and `node1` … (.101 …) with `cores` pretended cores each; a context manager.

    Files of Slurm and sshd name the folder, which therefore must have no blank in its path.

    With `own_project` the nodes have an empty folder in the place of the client's project. Packets between
    hosts take `delay_seconds`, and the share `loss` of them is lost.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int,
        cores: int = 2,
        own_project: bool = False,
        delay_seconds: float = 0,
        loss: float = 0,
    ) -> None:
        self.folder, self.cores, self.own_project = folder, cores, own_project
        self.delay_seconds, self.loss = delay_seconds, loss
        self.addresses = {"client": f"{NETWORK}.100"}
        self.addresses |= {f"node{i}": f"{NETWORK}.{100 + i}" for i in range(1, nodes + 1)}
        self.nodes = [name for name in self.addresses if name != "client"]
        self._switch: subprocess.Popen[bytes] | None = None
        """Process in the network namespace of the bridge between the hosts."""
        self._inits: dict[str, int] = {}
        self._shells: dict[str, subprocess.Popen[bytes]] = {}
        self._munge: subprocess.Popen[bytes] | None = None
        self._groups: dict[str, Path] = {}
        self._slow_switch: subprocess.Popen[bytes] | None = None
        self.slurm_conf = folder / "slurm.conf"

    def __enter__(self) -> Self:
        # Debian's Slurm looks for PMIx under a name that Debian's libpmix2 does not have.
        (self.folder / "pmix").mkdir()
        (self.folder / "pmix" / "libpmix.so").symlink_to("libpmix.so.2")
        try:
            self._make_keys()
            self._start_switch()
            for name in self.addresses:
                self._boot(name)
            if self.delay_seconds or self.loss:
                self._start_slow_switch()
            for name in self.addresses:
                until((self.folder / f"sshd.{name}.pid").exists, f"sshd on {name}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._shells):
            self.power_off(name)
        for process in (self._slow_switch, self._munge, self._switch):
            if process:
                process.kill()
                process.wait()

    def _make_keys(self) -> None:
        dot_ssh = self.folder / "dot-ssh"
        """~/.ssh of all hosts."""
        dot_ssh.mkdir(mode=0o700)
        for key in (dot_ssh / "id_ed25519", self.folder / "host"):
            _sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        shutil.copy(dot_ssh / "id_ed25519.pub", self.folder / "authorized_keys")
        host_key = (self.folder / "host.pub").read_text()
        (dot_ssh / "known_hosts").write_text(
            "".join(f"{name},{ip} {host_key}" for name, ip in self.addresses.items())
        )
        (self.folder / "hosts").write_text(
            "127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in self.addresses.items())
        )

    def _boot(self, name: str) -> None:
        config = self.folder / f"sshd.{name}.conf"
        # Compiled once for all hosts, whose cores are pretended.
        cache = f'"MPI_PI_CACHE={os.environ["MPI_PI_CACHE"]}"' if "MPI_PI_CACHE" in os.environ else ""
        config.write_text(
            textwrap.dedent(f"""\
            ListenAddress {self.addresses[name]}
            HostKey {self.folder}/host
            AuthorizedKeysFile {self.folder}/authorized_keys
            StrictModes no
            UsePAM no
            PermitRootLogin prohibit-password
            MaxStartups 100
            PidFile {self.folder}/sshd.{name}.pid
            SetEnv TMPDIR=/var/tmp {cache}
            """)
        )
        script = textwrap.dedent(f"""\
            set -e
            hostname {name}
            mount -t tmpfs tmpfs /dev/shm
            rm -rf {self.folder}/tmp.{name}
            mkdir -m 1777 {self.folder}/tmp.{name}
            mount --bind {self.folder}/tmp.{name} /var/tmp
            for place in /usr/lib/*/pmix2/lib; do
                mount -t overlay overlay -o lowerdir={self.folder}/pmix:$place $place
            done
            mount --bind {self.folder}/hosts /etc/hosts
            mkdir -p /run/sshd ~root/.ssh
            mount --bind {self.folder}/dot-ssh ~root/.ssh
            {self._hide_project(name)}
            ip link set lo up
            until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
            ip link set eth0 address 02:00:00:00:00:{int(self.addresses[name].rpartition(".")[2]):02x}
            ip addr add {self.addresses[name]}/24 dev eth0
            ip link set eth0 up
            exec /usr/sbin/sshd -D -e -f {config}
            """)
        flags = ["--net", "--uts", "--ipc", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
        with (self.folder / f"sshd.{name}.log").open("w") as log:
            shell = subprocess.Popen(
                [*WITH_US, "unshare", *flags, "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._shells[name] = shell
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children")
        until(lambda: children.read_text().strip(), f"the first process of {name}")
        init = self._inits[name] = int(children.read_text())
        if self.delay_seconds or self.loss:
            return
        port = f"port-{name}"
        self._link("add", port, "type", "veth", "peer", "eth0", "netns", str(init))
        self._link("set", port, "up", "master", "bridge")

    def _start_switch(self) -> None:
        # With its process the namespace is gone, and all that is in it.
        self._switch = subprocess.Popen([*WITH_US, "unshare", "--net", "sleep", "infinity"])
        place = Path(f"/proc/{self._switch.pid}/ns/net")
        own = Path("/proc/self/ns/net").readlink()
        until(lambda: place.readlink() != own, "the namespace of the switch")
        self._link("add", "bridge", "type", "bridge")
        self._link("set", "bridge", "up")

    def _link(self, *arguments: str) -> None:
        """Call `ip link` in the switch."""
        assert self._switch
        _sh("nsenter", "-t", str(self._switch.pid), "-n", "ip", "link", *arguments)

    def _start_slow_switch(self) -> None:
        numbers = [str(self.delay_seconds), str(self.loss), *map(str, self._inits.values())]
        program = [sys.executable, str(Path(__file__).with_name("switch.py"))]
        self._slow_switch = subprocess.Popen([*WITH_US, *program, *numbers])

    def _hide_project(self, name: str) -> str:
        """Return a line of shell that puts an empty folder of this host's own over the project."""
        if not self.own_project or name == "client":
            return ""
        own = self.folder / f"project.{name}"
        own.mkdir()
        return f"mount --bind {own} {shlex.quote(str(ROOT))}"

    def pull_cable(self, name: str) -> None:
        """Disconnect the host from the network, without closing any connection."""
        self._link("set", f"port-{name}", "down")

    def plug_cable(self, name: str) -> None:
        """Connect the host to the network again."""
        self._link("set", f"port-{name}", "up")

    def limit(self, name: str, cores: float) -> None:
        """Limit all processes of a host together to that many cores, or part of a core."""
        quota, period = round(cores * PERIOD_MICROSECONDS), PERIOD_MICROSECONDS
        first_version = CPU_GROUPS.exists()
        parent = CPU_GROUPS if first_version else CPU_GROUPS.parent
        # The first part is that of the run of all tests, which removes groups of its own in the end.
        group = parent / f"mpi-pi-{Path(tempfile.gettempdir()).name}-{self._inits[name]}"
        if first_version:
            group.mkdir(exist_ok=True)
            (group / "cpu.cfs_period_us").write_text(str(period))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group.parent / "cgroup.subtree_control").write_text("+cpu")
            group.mkdir(exist_ok=True)
            (group / "cpu.max").write_text(f"{quota} {period}")
        own = Path(f"/proc/{self._inits[name]}/ns/pid").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                if (process / "ns/pid").readlink() == own:
                    (group / "cgroup.procs").write_text(process.name)
        self._groups[name] = group

    def sent_bytes(self, name: str) -> int:
        """Return the bytes that the host has sent over its network so far."""
        (line,) = (
            line for line in self.run(name, "cat", "/proc/net/dev").stdout.splitlines() if "eth0:" in line
        )
        return int(line.partition(":")[2].split()[8])

    @property
    def on(self) -> list[str]:
        """The hosts that are switched on."""
        return list(self._shells)

    def power_on(self) -> None:
        """Switch on all hosts that are off."""
        off = [name for name in self.addresses if name not in self._shells]
        for name in off:
            (self.folder / f"sshd.{name}.pid").unlink(missing_ok=True)
            self._boot(name)
        for name in off:
            until((self.folder / f"sshd.{name}.pid").exists, f"sshd on {name}")

    def power_off(self, name: str) -> None:
        """Kill all processes of the host."""
        shell = self._shells.pop(name)
        shell.kill()  # --kill-child takes the rest along
        shell.wait()
        if group := self._groups.pop(name, None):
            until(lambda: not (group / "cgroup.procs").read_text(), f"the end of {name}")
            group.rmdir()

    def command(self, name: str, *command: str) -> list[str]:
        """Return the command as it has to be started here to run on the host."""
        enter = ["nsenter", "-t", str(self._inits[name]), "-n", "-u", "-i", "-p", "-m"]
        return [*enter, f"--wdns={ROOT}", "--", *command]

    def run(self, name: str, *command: str, timeout: float = 60, **options: Any) -> Any:
        """Run a command on a host; return a CompletedProcess."""
        environment = options.pop("env", os.environ) | {
            "SLURM_CONF": str(self.slurm_conf),
            "TMPDIR": "/var/tmp",
        }
        return subprocess.run(
            self.command(name, *command),
            **{"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "check": False} | options,
            timeout=timeout,
            env=environment,
        )

    def start_slurm(self, timeout: int = 300, settings: str = "") -> None:
        """Start a controller on `client`, and all nodes; a node silent for `timeout` seconds is down.

        `settings` are more lines of its configuration.
        """
        folder = self.folder
        (folder / "state").mkdir()
        folder.chmod(0o755)
        munge = folder / "munge"
        munge.mkdir()
        (munge / "key").write_bytes(secrets.token_bytes(128))
        (munge / "key").chmod(0o400)
        nodes = "".join(
            f"NodeName={name} NodeAddr={self.addresses[name]} CPUs={self.cores} State=UNKNOWN\n"
            for name in self.nodes
        )
        self.slurm_conf.write_text(
            textwrap.dedent(f"""\
            ClusterName=tests
            SlurmctldHost=client({self.addresses["client"]})
            SlurmUser=root
            SlurmdUser=root
            AuthType=auth/munge
            AuthInfo=socket={munge}/socket
            StateSaveLocation={folder}/state
            SlurmdSpoolDir={folder}/spool.%n
            SlurmctldPidFile={folder}/slurmctld.pid
            SlurmdPidFile={folder}/slurmd.%n.pid
            SlurmctldLogFile={folder}/slurmctld.log
            SlurmdLogFile={folder}/slurmd.%n.log
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            TmpFS=/var/tmp
            SlurmdTimeout={timeout}
            MpiDefault=none
            ReturnToService=2
            FirstJobId={1000 + secrets.randbelow(100_000)}
            MinJobAge=3600
            MailProg=/bin/true
            SchedulerParameters=sched_min_interval=100000,sched_interval=1,bf_interval=1
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core
            JobAcctGatherType=jobacct_gather/none
            AccountingStorageType=accounting_storage/none
            SlurmdParameters=config_overrides
            PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
            """)
            + nodes
            + settings
        )
        names = {
            "socket": "socket",
            "key-file": "key",
            "pid-file": "pid",
            "seed-file": "seed",
        }
        options = [f"--{option}={munge}/{file}" for option, file in names.items()]
        with (munge / "log").open("w") as log:
            self._munge = subprocess.Popen(
                [*WITH_US, "munged", "--foreground", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until((munge / "socket").exists, "munged")
        self._sh_on("client", "slurmctld")
        for name in self.nodes:
            self._sh_on(name, "slurmd", "-N", name)

        def idle() -> bool:
            states = self.run("client", "sinfo", "-h", "-N", "-o", "%t").stdout.split()
            return bool(states == ["idle"] * len(self.nodes))

        until(idle, "Slurm")

    def submit(self, *arguments: str, **variables: str) -> str:
        """Submit a job script to Slurm with these variables in its environment; return the id of the job."""
        submitted = self.run("client", "sbatch", "--parsable", *arguments, env=os.environ | variables)
        assert submitted.returncode == 0, submitted.stderr
        return str(submitted.stdout.strip())

    def facts(self, job: str) -> dict[str, str]:
        """Return the facts that Slurm has of a job."""
        shown = self.run("client", "scontrol", "show", "job", job).stdout
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)

    def hurry(self) -> None:
        """Start requeued jobs, which Slurm would hold for two minutes, in two seconds.

        Before that it would be rejected by nodes that still hold it for the job that they have just ended.
        """
        held = self.run("client", "squeue", "--noheader", "--states=PENDING", "--format=%i %r").stdout
        for line in held.splitlines():
            job, reason = line.split(maxsplit=1)
            if reason == "BeginTime" and self._seconds_until_start(job) > 5:
                self.run("client", "scontrol", "update", f"jobid={job}", "StartTime=now+2")

    def _seconds_until_start(self, job: str) -> float:
        try:
            start = datetime.fromisoformat(self.facts(job).get("StartTime", ""))
        except ValueError:  # it is not known
            return 0.0
        return (start - datetime.now()).total_seconds()  # Slurm shows local time

    def finished(self, job: str, seconds: float) -> str:
        """Wait until a Slurm job has left the queue; return its last state."""
        state = ""

        def ended() -> bool:
            nonlocal state
            self.hurry()
            state = self.facts(job).get("JobState", "")
            return state not in ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "")

        until(ended, f"the end of job {job}", seconds)
        return state

    def _sh_on(self, name: str, *command: str) -> None:
        # Daemons keep the streams of their start open: no pipes.
        run = self.run(name, *command, capture_output=False, stdout=subprocess.DEVNULL)
        assert run.returncode == 0, f"{command} on {name} returned {run.returncode}"


def _sh(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30, stdin=subprocess.DEVNULL)


def until(true: Any, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not there within {seconds} s")
        time.sleep(0.05)


def require(*programs: str) -> None:
    """End the test unless this machine allows a cluster and has these programs."""
    if lacking := missing((*PROGRAMS, *programs)):
        lacks.lack(*lacking)


@contextlib.contextmanager
def booted(nodes: int, *programs: str, **options: Any) -> Iterator[Cluster]:
    """Yield a cluster in a folder of its own, or end the test if it, or one of the programs, is not possible.

    The folder is not pytest's, which is closed to others: munge wants its socket in reach of all.
    """
    require(*programs)
    with tempfile.TemporaryDirectory(prefix="mpi-pi-cluster-") as folder:
        Path(folder).chmod(0o755)
        with Cluster(Path(folder), nodes, **options) as up:
            yield up


def mount(cluster: Cluster, name: str, *arguments: object) -> None:
    done = cluster.run(name, "mount", *map(str, arguments))
    assert done.returncode == 0, done.stderr
