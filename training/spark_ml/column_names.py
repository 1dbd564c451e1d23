"""Names of the columns that are added to rows on Spark.

A feature table may have columns of any name, so these begin with a mark of their own.
"""

POSITION, LABEL, WEIGHT, VALIDATION = "$position", "$label", "$weight", "$validation"
MEANS, FEATURES = "$means", "$features"  # target means, and the vector of a learner
RESULT = "$result"  # of a function of rows
