"""What the tests share: destinations, runs, crashes, exact accounts of what should be there."""
