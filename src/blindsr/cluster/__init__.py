"""Batches on many machines: photos and results on any store, workers on a Ray cluster, each photo once."""
