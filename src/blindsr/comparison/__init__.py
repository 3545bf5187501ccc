"""Before and after on one HTML page that needs nothing else: no network, no other file."""

from blindsr.comparison.page import ComparisonPage
from blindsr.comparison.slider import Comparison, compare

__all__ = ["Comparison", "ComparisonPage", "compare"]
