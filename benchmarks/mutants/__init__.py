"""Deliberate faults in the lifecycle, and how long the fuzzer needs to find each."""
