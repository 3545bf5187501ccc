"""Networks from files, ours and others'; nothing in them is run."""
