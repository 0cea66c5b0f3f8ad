"""Cross-validation along paths, information criteria, and how an alpha is chosen."""

from sparsereg.model_selection.criteria import information_criterion
from sparsereg.model_selection.selection import select_alpha

__all__ = ["information_criterion", "select_alpha"]
