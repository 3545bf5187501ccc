"""What a condition tells of a photo: blur, noise, compression, each with its error."""
