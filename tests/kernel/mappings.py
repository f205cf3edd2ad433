"""Maps files when told to: a line has a path, how often, and whether as code."""

import mmap
import sys

print("ready", flush=True)
for line in sys.stdin:
    path, times, code = line.split()
    rights = mmap.PROT_READ | (mmap.PROT_EXEC if code == "code" else 0)
    with open(path) as file:
        for _ in range(int(times)):
            mmap.mmap(file.fileno(), mmap.PAGESIZE, mmap.MAP_PRIVATE, rights).close()
    print("mapped", flush=True)
