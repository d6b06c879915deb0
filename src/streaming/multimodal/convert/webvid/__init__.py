"""WebVid."""
