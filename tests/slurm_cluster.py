"""A real Slurm cluster of one node on this machine's loopback, for as long as a test needs it.

All its files, its key and its sockets lie in one folder; no system file is touched. Its two GPUs are character devices
that every machine has: Slurm allocates them like real ones, and CUDA_VISIBLE_DEVICES numbers them.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun")
CONFIGURATION = """
ClusterName=waypoint
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# neither systemd nor cgroups are needed; memory is sampled, and what exceeds its request is killed
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
# finished jobs stay known to squeue
MinJobAge=3600
KillWait=2
ReturnToService=2
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 Port={node} CPUs=4 RealMemory=200000 Gres=gpu:pretended:2
PartitionName=cpu Nodes=node Default=YES DefaultTime=10 State=UP
PartitionName=gpu Nodes=node DefaultTime=10 State=UP
"""
GPUS = "AutoDetect=off\nNodeName=node Name=gpu Type=pretended File=/dev/null,/dev/zero\n"


class Cluster:
    """One node with 4 CPUs and 2 pretend GPUs in the partitions cpu and gpu.

    Args:
        folder: an empty folder for everything it writes, with a short path, since sockets lie in it.
    """

    def __init__(self, folder):
        missing = [program for program in PROGRAMS if shutil.which(program, path=_path()) is None]
        assert not missing, (
            f"{', '.join(missing)} missing: tests/install_slurm.sh installs Slurm (make test-slurm runs it)"
        )
        self.folder = Path(folder)
        self.folder.chmod(0o755)  # munged requires its socket to be reachable
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True)
        controller, node = _free_ports(2)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        names = {"host": socket.gethostname().split(".")[0], "user": user, "folder": self.folder}
        settings = CONFIGURATION.format(controller=controller, node=node, **names)
        (self.folder / "slurm.conf").write_text(settings)
        (self.folder / "gres.conf").write_text(GPUS)
        # the plugin's job step drops SLURM_CONF before it calls srun
        srun = self.folder / "bin/srun"
        srun.write_text(
            f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun", path=_path())} "$@"\n'
        )
        srun.chmod(0o755)

    @property
    def environment(self):
        """The environment variables of a user of this cluster."""
        path = f"{self.folder / 'bin'}{os.pathsep}{_path()}"
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def __enter__(self):
        try:
            self._munge()
            self.start_controller()
            self._run("slurmd", "-f", self.folder / "slurm.conf", "-N", "node")
            self._until(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), "the node is not idle")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error):
        self.stop()

    def start_controller(self):
        self._run("slurmctld", "-f", self.folder / "slurm.conf")
        self._until(lambda: "is UP" in self.ask("scontrol", "ping"), "slurmctld does not answer")

    def stop_controller(self):
        self._end("slurmctld")

    def ask(self, *command):
        """Return the output of one of Slurm's commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout

    def jobs(self):
        """Return [{id, comment, state, partition, memory, limit, gpus}] of all jobs since the start; "" if unset."""
        names = {"id": "JobId", "comment": "Comment", "state": "JobState", "partition": "Partition"}
        names |= {"memory": "MinMemoryNode", "limit": "TimeLimit", "gpus": "TresPerJob"}
        lines = [line for line in self.ask("scontrol", "show", "jobs", "--oneliner").splitlines() if "JobId=" in line]
        settings = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return [{name: job.get(key, "") for name, key in names.items()} for job in settings]

    def stop(self):
        """End all jobs and daemons of this cluster."""
        if (self.folder / "slurmctld.pid").exists():
            self.ask("scancel", "--user", str(os.getuid()))
            self._until(lambda: not self.ask("squeue", "-h"), None)
        for daemon in ("slurmd", "slurmctld", "munged"):
            self._end(daemon)

    def _munge(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        paths = {"key-file": key, "socket": self.folder / "munge.socket", "pid-file": self.folder / "munged.pid"}
        paths |= {"log-file": self.folder / "munged.log", "seed-file": self.folder / "munge.seed"}
        self._run("munged", *(f"--{name}={path}" for name, path in paths.items()))

    def _run(self, *command):
        process = subprocess.run(list(map(str, command)), env=self.environment, capture_output=True, text=True)
        assert process.returncode == 0, f"{command[0]}: {process.stdout}{process.stderr}{self._logs()}"

    def _end(self, daemon):
        try:
            process = int((self.folder / f"{daemon}.pid").read_text())
            os.kill(process, signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return
        self._until(lambda: _gone(process), None, 15)
        if not _gone(process):
            os.kill(process, signal.SIGKILL)

    def _until(self, condition, complaint, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                assert complaint is None, f"{complaint} after {seconds} s{self._logs()}"
                return
            time.sleep(0.1)

    def _logs(self):
        return "".join(f"\n{log.name}: {log.read_text()[-1500:]}" for log in sorted(self.folder.glob("*.log")))


def _path():
    return f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"


def _gone(process):
    """Return whether a process has ended; an unreaped zombie counts as ended."""
    try:
        return "Z (zombie)" in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def _free_ports(number):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports
