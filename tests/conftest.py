"""What holds for all tests."""

import signal

# A shell that starts the tests in the background has interrupts ignored, and every program a test starts would
# inherit that: those that are interrupted on purpose would not end.
signal.signal(signal.SIGINT, signal.default_int_handler)
