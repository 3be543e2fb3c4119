"""What is sent: requests, the transaction that sends them, and what a run folder holds before a job starts."""
