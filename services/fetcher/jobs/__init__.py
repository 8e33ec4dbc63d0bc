"""The job table: claimed with an epoch, changed only by who holds the claim, each change told to the job's syncs.

Whatever changes a job holds the lock of its connection (``Database.write``).
"""
