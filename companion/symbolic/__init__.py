"""The derivations of the chapters as sympy objects, one module a paper; they need the extra ``math``."""
