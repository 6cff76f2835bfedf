#!/usr/bin/env bash
# A Slurm of two nodes on one machine (slurmctld and two slurmd on loopback), and encode.sbatch and merge.sbatch in it: an
# array of parts whose merge must equal what one process writes, byte by byte, also when a job is killed and queued again.
#
#   scripts/slurm/two-nodes.sh DREAM MODEL DATA        MODEL and DATA as for dream encode
#
# Needs Debian's slurm-wlm and munge, and root, for munge and slurmd run as services do. Everything else lies in a
# temporary folder and is stopped at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[[ $# -eq 3 ]] || { sed -n '2,8s/^# \?//p' "$0"; exit 2; }
dream=$(realpath "$1") model=$(realpath "$2") data=$(realpath "$3")
parts=${PARTS:-4}

work=$(mktemp -d)
chmod 755 "$work"
started=()
finish() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# munge, with a key and a socket of its own: an installed one is left alone.
mkdir -p "$work"/{munge,state,a,b,out}
chown -R munge: "$work/munge"
chmod 755 "$work/munge"
head -c 1024 /dev/urandom > "$work/munge/key"
chown munge: "$work/munge/key"
chmod 400 "$work/munge/key"
setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --socket="$work/munge/socket" --key-file="$work/munge/key" \
    --pid-file="$work/munge/pid" --log-file="$work/munge/log" --seed-file="$work/munge/seed" > "$work/munge.out" 2>&1 &
started+=($!)

host=$(hostname -s)
cpus=$(nproc)
cat > "$work/slurm.conf" <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
RebootProgram=/bin/true
MinJobAge=3600
JobRequeue=1
NodeName=a NodeHostname=$host NodeAddr=127.0.0.1 Port=16818 CPUs=$cpus
NodeName=b NodeHostname=$host NodeAddr=127.0.0.1 Port=16819 CPUs=$cpus
PartitionName=all Nodes=a,b Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf
slurmctld -D > "$work/slurmctld.out" 2>&1 &
started+=($!)
slurmd -D -N a > "$work/a.out" 2>&1 &
started+=($!)
slurmd -D -N b > "$work/b.out" 2>&1 &
started+=($!)
for _ in $(seq 60); do
    [[ $(sinfo -h -t idle -o %D 2>/dev/null) == 2 ]] && break
    sleep 1
done
sinfo -N -l

settle() { # waits for a job; its last state
    local job=$1 states
    while :; do
        states=$(squeue -h -j "$job" -t all -o %T 2>/dev/null | sort | uniq -c)
        grep -qE 'PENDING|RUNNING|CONFIGURING|COMPLETING|REQUEUED|SUSPENDED' <<< "$states" || break
        sleep 1
    done
    echo "$states"
}

export DREAM=$dream
cd "$work/out"
# One processor a task, so that both nodes get some.
job=$(sbatch --parsable --cpus-per-task=1 --array=0-$((parts - 1)) "$here/encode.sbatch" "$data" "$work/parts" --model "$model" --threads 1 --shard-size "${SHARD_SIZE:-100}")
# Once some shards are complete one part is killed, as if its node were wanted for something else, and queued again.
victim=
for _ in $(seq 1200); do
    complete=("$work"/parts/shard-*.ids)
    [[ ${#complete[@]} -ge $parts ]] && victim=$(squeue -h -j "$job" -t RUNNING -o %i | tail -1)
    [[ -n $victim ]] && break
    sleep 0.25
done
if [[ -n $victim ]] && scontrol requeue "$victim"; then echo "requeued $victim"; fi
merge=$(sbatch --parsable --dependency="afterok:$job" "$here/merge.sbatch" "$work/parts" "$work/merged")
echo "encode: $(settle "$job")"
echo "merge: $(settle "$merge")"
for log in dream-*.log; do sed "s/^/$log: /" "$log"; done
echo "nodes used:"
grep -ho 'on [ab],' dream-encode-*.log | sort | uniq -c

"$dream" --quiet encode --data "$data" --out "$work/whole" --model "$model" --threads 1 --shard-size "${SHARD_SIZE:-100}"
if diff -r "$work/whole" "$work/merged"; then
    echo "equal: the merged parts are what one process writes, byte by byte"
else
    echo "DIFFERENT" >&2
    exit 1
fi
