"""Measuring restored pictures against ground truth."""
