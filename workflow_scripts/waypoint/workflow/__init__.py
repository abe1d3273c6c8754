"""The scripts' floor: configuration, the plan of paths and specs, what every script shares."""
