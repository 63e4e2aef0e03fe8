"""What people look at: figures and a page that show images before and after super-resolution."""

from comparison.difference import difference_figure, write_difference_figures
from comparison.figure import comparison_figure
from comparison.originals import find_hr, load_hr
from comparison.page import PAGE_NAME, ComparisonPage
from comparison.pair import Comparison
from comparison.presentation import Presentation, figure_names, figure_paths

__all__ = ["PAGE_NAME", "Comparison", "ComparisonPage", "Presentation", "comparison_figure",
           "difference_figure", "figure_names", "figure_paths", "find_hr", "load_hr", "write_difference_figures"]
