"""Films of what was shown: a strip of chosen steps, and a looping animation. Knows arrays, and no presentation."""
