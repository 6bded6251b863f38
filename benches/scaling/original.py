"""The original's scan, as it behaves, written again for the bench.

For each line on standard input it scans once, and prints how many coordinators it found and the CPU
time that took in milliseconds, its own and that of its `ps`. The start of Python is left out.
"""

import os
import re
import resource
import subprocess
import sys

WORKSPACE = re.compile(r"team_agent\.coordinator.*?\s--workspace\s+(\S+)")
TEST_NAMES = ("team-agent-test-", "team-agent-stage", "team-agent-rm-", "team-agent-multi")


def scan():
    listing = subprocess.run(
        ["ps", "-Awwo", "pid=,etime=,command="], capture_output=True, text=True, check=True
    )
    found = []
    for line in listing.stdout.splitlines():
        fields = line.strip().split(None, 2)
        if len(fields) < 3 or "team_agent.coordinator" not in fields[2]:
            continue
        named = WORKSPACE.search(fields[2])
        workspace = named and named.group(1)
        is_orphan = workspace and (
            not os.path.exists(workspace) or any(name in workspace for name in TEST_NAMES)
        )
        found.append((int(fields[0]), fields[1], workspace, bool(is_orphan)))
    return found


def cpu_ms():
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return 1e3 * (own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime)


for _ in sys.stdin:
    before = cpu_ms()
    count = len(scan())
    print(count, cpu_ms() - before, flush=True)
