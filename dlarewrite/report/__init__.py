"""What a run found, rendered: pure functions from a report to text, JSON, SARIF, JUnit or GitHub commands."""
