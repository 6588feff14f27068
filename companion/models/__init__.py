"""The networks of the experiments: the perceptron of chapter 01 and two-layer graph networks."""
