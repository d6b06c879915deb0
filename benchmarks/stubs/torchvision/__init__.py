"""Stands in for torchvision, which the original imports at once and of which no benchmark uses anything."""
