"""What is held in hands and kept on disk: the table of all variables, the tree of a result, and its files."""

from bodyorder.results.files import load as load_results
from bodyorder.results.files import load_analysis
from bodyorder.results.files import save as save_results
from bodyorder.results.joined import join
from bodyorder.results.tree import flat, grown, select

__all__ = ["flat", "grown", "join", "load_analysis", "load_results", "save_results", "select"]
