"""`rollout` and `follow`: the gradual move of an endpoint's traffic to the champion."""
