"""Run the commands that the documents show, and compare what comes with what they say."""
