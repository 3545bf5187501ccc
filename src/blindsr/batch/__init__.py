"""Many photos: planned, restored three at once, and resumed where they were broken off."""
