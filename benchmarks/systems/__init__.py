"""How each system does what is measured: one module a system, the same function names in all."""
