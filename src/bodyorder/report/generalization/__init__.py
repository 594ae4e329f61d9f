"""What a grid of trained models comes to."""

from bodyorder.report.generalization.section import generalization_parts

__all__ = ["generalization_parts"]
