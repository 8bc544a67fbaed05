"""What people and monitors are told: the status as text, HTML and JSON, a run's progress, alerts of failed runs."""
