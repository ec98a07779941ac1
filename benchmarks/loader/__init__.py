"""What `benchmarks.fuzz_loader` feeds to the loader (`generate`, `mutate`), and what it holds against it
(`oracle`)."""
