"""Steps of the examination of a node, as told to whoever waits for it; on the standard library alone."""

IMPORTING = "importing NumPy"
WATCHING = "looking whether the node is busy"
LOADING = "loading the kernel"
ANSWERING = "counting the known answers"
MEASURING = "measuring the rates"
