"""Controller of inspections and proofs: after each change, on a schedule, and on demand."""
