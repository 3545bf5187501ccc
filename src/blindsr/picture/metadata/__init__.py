"""What photos carry besides their pixels: found, made to follow them, and put into the result or named."""
