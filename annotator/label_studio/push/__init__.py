"""Registry to Label Studio: plan what to send, then execute the plan."""
