"""`blindsr serve`: the page and the HTTP API, for a machine of one's own."""
