"""Commands that look ahead at a run."""
