"""One-off statistical studies: error rates of verdicts, coverage of error bars, planted defects."""
