"""What a run will take, before it is begun: bytes, requests, disk, waiting and money, and proofs of what it serves."""

from streaming.planning.plan import Plan
from streaming.planning.prices import Price, read_prices
from streaming.planning.proofs import Report
from streaming.planning.speed import Speed

__all__ = ["Plan", "Price", "Report", "Speed", "read_prices"]
