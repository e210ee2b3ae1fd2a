#!/usr/bin/env bash
# A SLURM of one node on this machine, for tests of profiles/slurm.
#
#   scripts/slurm.sh up     install what is missing, start it, wait until the node is idle
#   scripts/slurm.sh down   stop what `up` started, by process id, and remove its configuration
#   scripts/slurm.sh can    check whether `up` can work here: root or sudo, and no other SLURM on this machine
#
# Needs root, or sudo without a password. Refuses to touch a SLURM that it did not set up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

state=${PYVMAF_SLURM:-${TMPDIR:-/tmp}/pyvmaf-slurm}
# Debian's SLURM has this path compiled in, and its jobs drop SLURM_CONF, so the file cannot be elsewhere.
conf=/etc/slurm/slurm.conf
mark="# made by scripts/slurm.sh"

say() { printf 'slurm: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}

ours() { [ -f "$conf" ] && head -n 1 "$conf" | grep -qxF "$mark"; }

if [ "${1:-}" = can ]; then
    if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
        say "skipped: SLURM's daemons need root, or sudo without a password"
        exit 1
    fi
    if [ -f "$conf" ] && ! ours; then
        say "skipped: this machine has a $conf of its own"
        exit 1
    fi
    if ! command -v apt-get >/dev/null && ! command -v slurmd >/dev/null; then
        say "skipped: there is no slurmd, and no apt-get to install it"
        exit 1
    fi
    exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "SLURM's daemons need root, or sudo without a password"
    exec sudo -n --preserve-env=PYVMAF_SLURM,TMPDIR "${BASH_SOURCE[0]}" "$@"
fi

install_slurm() {
    local missing=()
    command -v sbatch >/dev/null && command -v slurmd >/dev/null || missing+=(slurm-wlm)
    command -v munged >/dev/null || missing+=(munge)
    # The plugin finds SLURM's programs with it.
    command -v which >/dev/null || missing+=(debianutils)
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || die "missing system packages: ${missing[*]}"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null; } ||
        die "apt-get could not install: ${missing[*]}"
}

start() {
    local name=$1
    shift
    # In a session of its own, so that Ctrl-C in the test does not reach the cluster.
    setsid "$@" >"$state/log/$name.out" 2>&1 </dev/null &
    echo $! >"$state/$name.pid"
}

up() {
    if [ -f "$conf" ] && ! ours; then die "this machine has a $conf of its own: this test would change it"; fi
    install_slurm
    local host memory cpus
    host=$(hostname -s)
    getent hosts "$host" >/dev/null || die "the name of this machine, $host, has no address: add it to /etc/hosts"
    down
    cpus=$(nproc)
    memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)
    mkdir -p "$state"/state "$state"/spool "$state"/log /etc/slurm
    install -d -o munge -g munge -m 755 /run/munge
    install -d -o munge -g munge -m 700 /var/lib/munge /var/log/munge
    [ -s /etc/munge/munge.key ] || (
        install -d -o munge -g munge -m 700 /etc/munge
        umask 077
        head -c 1024 /dev/urandom >/etc/munge/munge.key
        chown munge:munge /etc/munge/munge.key
    )
    # Accounting is off, so squeue must list finished jobs long enough (MinJobAge).
    cat >"$conf" <<CONF
$mark
ClusterName=pyvmaf
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=10000
ReturnToService=2
MinJobAge=600
KillWait=5
StateSaveLocation=$state/state
SlurmdSpoolDir=$state/spool
SlurmctldPidFile=$state/slurmctld.own.pid
SlurmdPidFile=$state/slurmd.own.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    if ! munge -n 2>/dev/null | unmunge >/dev/null 2>&1; then
        start munged setpriv --reuid=munge --regid=munge --clear-groups munged --foreground
        for _ in $(seq 50); do
            munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && break
            sleep 0.2
        done
    fi
    start slurmctld slurmctld -D
    start slurmd slurmd -D
    for _ in $(seq 150); do
        if [ "$(sinfo -h -o %t 2>/dev/null)" = idle ]; then
            sinfo
            return
        fi
        sleep 0.2
    done
    tail -n 20 "$state"/log/* >&2 || true
    down
    die "the node did not become idle within 30 s"
}

down() {
    ours || return 0
    timeout 10 squeue -h -o %i 2>/dev/null | xargs -r timeout 10 scancel 2>/dev/null || true
    local name pid
    for name in slurmd slurmctld munged; do
        [ -f "$state/$name.pid" ] || continue
        pid=$(cat "$state/$name.pid")
        # If setsid leads a process group it forks, and the daemon is its child.
        # shellcheck disable=SC2046
        kill "$pid" $(ps -o pid= --ppid "$pid" 2>/dev/null) 2>/dev/null || true
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.2
        done
    done
    rm -rf "$state" "$conf"
}

case ${1:-} in
up) up ;;
down) down ;;
*) die "usage: scripts/slurm.sh up|down|can" ;;
esac
