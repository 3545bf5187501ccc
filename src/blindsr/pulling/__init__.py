"""A model from somewhere else: fetched, verified, put in place whole."""
