"""What passes between the registry and Label Studio, as queries."""
