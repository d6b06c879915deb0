"""The order of samples: pure functions of sizes, weights, seeds and layouts. No files, no clock, no torch."""
