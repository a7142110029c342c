"""What is sent to Label Studio and read from it, as pure conversions: tasks, geometry in percent, masks."""
