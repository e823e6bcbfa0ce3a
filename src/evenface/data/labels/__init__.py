"""Group labels by prediction: from an outside classifier's scores, or from teacher embeddings.

A predicted label is a guess about a person made by a model that errs more often for some groups
than for others. It is marked ``predicted`` in the manifest, bears its confidence, and is never
taken where a data set declares a value. See ``docs/mixing.md``.
"""

from evenface.data.labels.dataset import (
    Labelled,
    LabelReport,
    Uncertain,
    label_dataset,
    label_manifest,
)

__all__ = ["LabelReport", "Labelled", "Uncertain", "label_dataset", "label_manifest"]
