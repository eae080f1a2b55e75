"""Systems beside each other: differences with intervals, the paper's table, figures."""
