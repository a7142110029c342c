"""What passes between the registry and Label Studio: connections, the journal of pushes and pulls, attention checks."""
