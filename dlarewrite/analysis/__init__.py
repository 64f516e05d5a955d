"""What can be known of a model without running it: shapes, constants, values, work and movement."""
