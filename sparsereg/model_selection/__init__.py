"""Cross-validation along paths, and how an alpha is chosen."""

from sparsereg.model_selection.selection import select_alpha

__all__ = ["select_alpha"]
