"""Measurements; each is gated on a comparison of contents."""
