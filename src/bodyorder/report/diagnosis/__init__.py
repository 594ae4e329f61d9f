"""The *ab initio* section of a report: what the orders depend on, which states sub-clusters are in, where methods fail."""

from bodyorder.report.diagnosis.section import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
