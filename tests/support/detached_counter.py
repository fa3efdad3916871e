"""A part of Ray programs: an actor that counts, and outlives the program that made it."""

COUNTER = """class Counter:
    def __init__(self):
        self.count = 0

    def next(self):
        self.count += 1
        return self.count

counter = ray.remote(Counter).options(name="counter", lifetime="detached", num_cpus=1, get_if_exists=True).remote()
"""
