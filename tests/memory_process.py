"""A process whose threads update leads through `Memory` for ever, for tests that kill it."""

import random
import sys
from concurrent.futures import ThreadPoolExecutor

from ivr.memory import Memory, open_memory

FIELDS = (("name", "Ahmed"), ("goal", "More"), ("goal", None), ("demo_shared", True))
STAGES = ("NEW", "GOAL_COLLECTED", "ENROLLED", "LOST")
THREADS = 8


def work(memory: Memory, seed: int, names: list[str]) -> None:
    choice = random.Random(seed)
    while True:
        memory.update_lead_field(choice.choice(names), *choice.choice(FIELDS))
        memory.set_stage(choice.choice(names), choice.choice(STAGES))
        sys.stdout.write("updated\n")
        sys.stdout.flush()


def main(url: str) -> None:
    with open_memory(url) as memory, ThreadPoolExecutor(THREADS) as threads:
        names = [memory.start_conversation() for _ in range(4)]
        for seed in range(THREADS):
            threads.submit(work, memory, seed, names)


if __name__ == "__main__":
    main(sys.argv[1])
