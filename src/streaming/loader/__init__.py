"""The ``DataLoader`` that counts what training has consumed."""
