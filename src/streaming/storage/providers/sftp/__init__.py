"""Servers that speak SFTP."""
