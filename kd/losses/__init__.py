"""Loss functions: pure, one short block per paper."""
