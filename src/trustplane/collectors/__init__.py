"""Evidence about failed pulls: each collector looks at one thing, within its time, and decides nothing."""
