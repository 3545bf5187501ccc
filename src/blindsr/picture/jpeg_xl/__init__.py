"""JPEG XL files through libjxl: read and written with all that the format holds."""
