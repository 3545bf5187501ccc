"""From photo to photo: support set, tiles, engine, result; and one adaptation for all photos of a camera."""
