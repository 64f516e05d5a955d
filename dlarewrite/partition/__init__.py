"""From verdicts to DLA regions: convex regions, crossings between devices, and the plan that a builder follows."""
