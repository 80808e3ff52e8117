"""What each job of the workflow does, in order."""
