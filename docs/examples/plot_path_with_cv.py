"""
Which alpha? A path and its cross-validation curve
==================================================

The diabetes data has ten columns; with squares and products there are 64. Above: every
coefficient along the path, from the largest alpha (left, nothing selected) to the smallest
(right, close to least squares). Below: the held-out error of five folds, its mean with a band of
one standard error. The two rules choose different models from the same curve.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sparsereg import LassoCV
from sparsereg.plotting import (
    CrossValidationDisplay,
    RegularizationPathDisplay,
    SupportDisplay,
)

# %%
# Columns are standardized before products are formed and again afterwards, so that every
# coefficient is "change of y per standard deviation of the column". ``selection`` only decides
# which alpha of the path is used.
data = load_diabetes()
expand = make_pipeline(
    StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler()
)
X, y = expand.fit_transform(data.data), data.target
names = expand[1].get_feature_names_out(data.feature_names)
different = names != "sex^2"  # sex has two values: its square says the same as sex
X, names = X[:, different], names[different]

model = LassoCV(cv=5, selection="1se").fit(X, y)

# %%
# Named are the columns with the largest coefficients under the one-standard-error rule; the
# numbers along the top count the columns that are in. The filled dot is the choice, the hollow one
# what the other rule would have taken: more columns, for an error that five folds cannot tell from
# this one.
fig, (above, below) = plt.subplots(
    2, 1, sharex=True, figsize=(8, 7), height_ratios=[3, 2], layout="constrained"
)
RegularizationPathDisplay.from_estimator(model, feature_names=names, ax=above)
CrossValidationDisplay.from_estimator(model, ax=below)
above.set_xlabel("")

# %%
# How stable is the selection? The paths of the folds are kept. Beside each selected column stands
# the share of the five training sets that select it at this alpha.
SupportDisplay.from_estimator(model, feature_names=names)

plt.show()
